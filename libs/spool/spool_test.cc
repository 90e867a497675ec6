#include "libs/spool/spool.h"

#include "libs/spool/spool_fixture.h"

namespace insula::spool {
namespace {

using absl::StatusCode::kAlreadyExists;
using absl::StatusCode::kInvalidArgument;
using absl::StatusCode::kNotFound;
using absl::StatusCode::kResourceExhausted;
using absl::StatusCode::kUnavailable;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kOverhead = 78 + 8 + 5;  // Of a record of the fixture.

class SpoolTest : public SpoolFixture {};

TEST_F(SpoolTest, HandsOutInOrderWhatItTookForEachTenant) {
  Open();
  for (const char* body : {"1", "2", "3"}) {
    ASSERT_THAT(Append('a', body), IsOk());
  }
  ASSERT_THAT(Append('b', "other"), IsOk());
  EXPECT_THAT(Waiting('a'), ElementsAre("1", "2", "3"));
  EXPECT_THAT(Waiting('b'), ElementsAre("other"));
  EXPECT_THAT(Waiting('c'), IsEmpty());
}

TEST_F(SpoolTest, HasItAllWhenItIsOpenedAgain) {
  Open();
  ASSERT_THAT(Append('a', "1"), IsOk());
  ASSERT_THAT(Append('a', "2"), IsOk());
  Open();
  ASSERT_THAT(Append('a', "3"), IsOk());
  const auto records = spool_->Read(Uid('a'), 1 << 20);
  ASSERT_THAT(records, IsOk());
  ASSERT_EQ(records->size(), 3u);
  EXPECT_EQ((*records)[0].record.tenant_id, "tenant-a");
  EXPECT_EQ((*records)[0].record.upstream_id, "store");
  EXPECT_EQ((*records)[0].record.enqueued, clock_.Now());
  EXPECT_EQ((*records)[2].record.body, "3");
  EXPECT_EQ(Metric("insula_spool_records"), 3);
  EXPECT_EQ(Metric("insula_spool_bytes"), 3 * (kOverhead + 1));
}

TEST_F(SpoolTest, ForgetsWhatIsRemovedAlsoWhenOpenedAgain) {
  Open();
  for (const char* body : {"1", "2", "3"}) {
    ASSERT_THAT(Append('a', body), IsOk());
  }
  const auto records = spool_->Read(Uid('a'), 1 << 20);
  ASSERT_THAT(records, IsOk());
  ASSERT_THAT(spool_->Remove(Uid('a'), (*records)[1].sequence), IsOk());
  EXPECT_THAT(Waiting('a'), ElementsAre("3"));
  Open();
  EXPECT_THAT(Waiting('a'), ElementsAre("3"));
  ASSERT_THAT(spool_->Remove(Uid('a'), (*records)[2].sequence), IsOk());
  EXPECT_FALSE(spool_->HasBacklog(Uid('a')));
  EXPECT_THAT(spool_->Read(Uid('a'), 1), StatusIs(kNotFound));
}

TEST_F(SpoolTest, ReadsAtLeastOneAndNoMoreThanAskedFor) {
  Open();
  for (const char* body : {"1", "2", "3"}) {
    ASSERT_THAT(Append('a', body), IsOk());
  }
  EXPECT_EQ(spool_->Read(Uid('a'), 0)->size(), 1u);
  EXPECT_EQ(spool_->Read(Uid('a'), 2 * (kOverhead + 1))->size(), 2u);
}

TEST_F(SpoolTest, PartsThatComeDuringASyncShareTheNext) {
  Open();
  std::vector<std::future<absl::Status>> all;
  for (int i = 0; i < 500; ++i) all.push_back(Begin('a', absl::StrCat(i)));
  for (auto& one : all) EXPECT_THAT(one.get(), IsOk());
  EXPECT_EQ(Metric("insula_spool_appended_records_total"), 500);
  EXPECT_LT(Metric("insula_spool_commit_seconds_count"), 250);
  const auto bodies = Waiting('a');
  ASSERT_EQ(bodies.size(), 500u);
  for (int i = 0; i < 500; ++i) EXPECT_EQ(bodies[i], absl::StrCat(i));
}

TEST_F(SpoolTest, ATenantsFullQueueRefusesAndOthersGoOn) {
  options_.max_tenant_bytes = 2 * (kOverhead + 10);
  Open();
  const std::string body(10, 'x');
  ASSERT_THAT(Append('a', body), IsOk());
  ASSERT_THAT(Append('a', body), IsOk());
  EXPECT_THAT(Append('a', body),
              StatusIs(kResourceExhausted, HasSubstr("tenant's queue")));
  EXPECT_THAT(Append('b', body), IsOk());
  EXPECT_EQ(Metric("insula_spool_refused_records_total{reason=\"full\"}"), 1);
  // Removing makes room.
  ASSERT_THAT(
      spool_->Remove(Uid('a'), spool_->Read(Uid('a'), 0)->front().sequence),
      IsOk());
  EXPECT_THAT(Append('a', body), IsOk());
}

TEST_F(SpoolTest, AQuotaOfItsOwnGoesBeforeTheCommonOne) {
  Open();
  const Spool::Quota quota{.max_bytes = kOverhead + 10};
  EXPECT_THAT(Append('a', std::string(11, 'x'), quota),
              StatusIs(kInvalidArgument, HasSubstr("larger than the queue")));
  EXPECT_THAT(Append('a', std::string(10, 'x'), quota), IsOk());
  EXPECT_THAT(Append('a', "", quota), StatusIs(kResourceExhausted));
}

TEST_F(SpoolTest, AllQueuesTogetherAreBoundedByBytesAndByRecords) {
  options_.max_bytes = 2 * (kOverhead + 10);
  Open();
  const std::string body(10, 'x');
  ASSERT_THAT(Append('a', body), IsOk());
  ASSERT_THAT(Append('b', body), IsOk());
  EXPECT_THAT(Append('c', body),
              StatusIs(kResourceExhausted, HasSubstr("all tenants")));
  options_.max_bytes = 1 << 20;
  options_.max_records = 3;
  Open();
  EXPECT_THAT(Append('c', body), IsOk());
  EXPECT_THAT(Append('d', body), StatusIs(kResourceExhausted));
}

TEST_F(SpoolTest, AFullQueueDropsItsOldestIfItIsTold) {
  Open();
  const Spool::Quota quota{.max_bytes = 3 * (kOverhead + 1),
                           .drop_oldest = true};
  for (const char* body : {"1", "2", "3", "4", "5"}) {
    ASSERT_THAT(Append('a', body, quota), IsOk());
  }
  EXPECT_THAT(Waiting('a'), ElementsAre("3", "4", "5"));
  EXPECT_EQ(Metric("insula_spool_dropped_records_total{reason=\"full\"}"), 2);
  EXPECT_EQ(Metric("insula_spool_dropped_samples_total{reason=\"full\"}"), 4);
  Open();
  EXPECT_THAT(Waiting('a'), ElementsAre("3", "4", "5"));
}

TEST_F(SpoolTest, DropsWhatIsTooOld) {
  options_.max_age = absl::Minutes(10);
  Open();
  ASSERT_THAT(Append('a', "old"), IsOk());
  clock_.Advance(absl::Minutes(9));
  ASSERT_THAT(Append('a', "new"), IsOk());
  EXPECT_EQ(Metric("insula_spool_oldest_seconds"), 540);
  spool_->Tend();
  EXPECT_THAT(Waiting('a'), ElementsAre("old", "new"));
  clock_.Advance(absl::Minutes(2));
  spool_->Tend();
  EXPECT_THAT(Waiting('a'), ElementsAre("new"));
  EXPECT_EQ(Metric("insula_spool_dropped_records_total{reason=\"too_old\"}"),
            1);
  Open();
  EXPECT_THAT(Waiting('a'), ElementsAre("new"));
}

TEST_F(SpoolTest, AClockThatJumpsMakesNothingOlder) {
  FakeClock steady{absl::FromUnixSeconds(1000)};
  options_.steady_clock = &steady;
  options_.max_age = absl::Minutes(10);
  Open();
  ASSERT_THAT(Append('a', "before"), IsOk());
  for (const absl::Duration jump : {absl::Hours(24 * 30), -absl::Hours(1)}) {
    clock_.Advance(jump);
    steady.Advance(absl::Minutes(1));
    ASSERT_THAT(Append('a', "after"), IsOk());
    spool_->Tend();
  }
  EXPECT_THAT(Waiting('a'), ElementsAre("before", "after", "after"));
  EXPECT_EQ(Metric("insula_spool_oldest_seconds"), 120);
  steady.Advance(absl::Minutes(9));
  spool_->Tend();
  EXPECT_THAT(Waiting('a'), ElementsAre("after", "after"));
  // Set back while nobody ran: what is of later ages from the start on.
  clock_.Advance(-absl::Hours(24 * 365));
  Open();
  spool_->Tend();
  EXPECT_THAT(Waiting('a'), ElementsAre("after", "after"));
  steady.Advance(absl::Minutes(11));
  spool_->Tend();
  EXPECT_THAT(Waiting('a'), IsEmpty());
}

TEST_F(SpoolTest, DropsAllOfATenantAndOnlyThat) {
  Open();
  for (const char uid : {'a', 'b', 'c', '\xff'}) {
    ASSERT_THAT(Append(uid, "1"), IsOk());
    ASSERT_THAT(Append(uid, "2"), IsOk());
  }
  ASSERT_THAT(spool_->DropTenant(Uid('b')), IsOk());
  ASSERT_THAT(spool_->DropTenant(Uid('\xff')), IsOk());
  EXPECT_EQ(
      Metric("insula_spool_dropped_records_total{reason=\"tenant_gone\"}"), 4);
  ASSERT_THAT(Append('b', "3"), IsOk());
  for (int life = 0; life < 2; ++life) {
    EXPECT_THAT(Waiting('a'), ElementsAre("1", "2"));
    EXPECT_THAT(Waiting('b'), ElementsAre("3"));
    EXPECT_THAT(Waiting('c'), ElementsAre("1", "2"));
    EXPECT_THAT(Waiting('\xff'), IsEmpty());
    Open();
  }
}

TEST_F(SpoolTest, ASecondUserOfTheDirectoryIsRefused) {
  Open();
  metrics::Registry metrics;
  EXPECT_THAT(Spool::Open(options_, &clock_, &metrics).status(),
              StatusIs(kAlreadyExists, HasSubstr("another process uses it")));
}

TEST_F(SpoolTest, TakesNothingWhileTheDiskIsNearlyFullAndGoesOnByItself) {
  Open();
  ASSERT_THAT(Append('a', "1"), IsOk());
  options_.min_free_bytes = ~uint64_t{0};
  Open();
  EXPECT_THAT(Append('a', "2"), StatusIs(kUnavailable, HasSubstr("make room")));
  EXPECT_THAT(spool_->Writable(), StatusIs(kUnavailable));
  EXPECT_EQ(Metric("insula_spool_writable"), 0);
  // What is there can be read and removed.
  const auto records = spool_->Read(Uid('a'), 1);
  ASSERT_THAT(records, IsOk());
  EXPECT_THAT(spool_->Remove(Uid('a'), records->front().sequence), IsOk());
}

TEST_F(SpoolTest, GivesBackTheSpaceOfWhatWasDelivered) {
  Open();
  const std::string body(1 << 20, 'x');
  for (int i = 0; i < 70; ++i) ASSERT_THAT(Append('a', body), IsOk());
  ASSERT_THAT(Append('b', "kept"), IsOk());
  const auto size = [this] {
    uint64_t sum = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(options_.directory + "/db")) {
      if (entry.path().extension() == ".blob") sum += entry.file_size();
    }
    return sum;
  };
  EXPECT_GT(size(), uint64_t{30} << 20);
  while (spool_->HasBacklog(Uid('a'))) {
    const auto records = spool_->Read(Uid('a'), 8 << 20);
    ASSERT_THAT(records, IsOk());
    ASSERT_THAT(spool_->Remove(Uid('a'), records->back().sequence), IsOk());
  }
  spool_->Tend();
  EXPECT_LT(size(), uint64_t{2} << 20);
  EXPECT_THAT(Waiting('b'), ElementsAre("kept"));
}

TEST_F(SpoolTest, WaitingForTheDiskIsBounded) {
  options_.max_waiting_bytes = 4 << 20;
  Open();
  const std::string body(1 << 20, 'x');
  std::vector<std::future<absl::Status>> all;
  for (int i = 0; i < 64; ++i) all.push_back(Begin('a', body));
  int taken = 0;
  int refused = 0;
  for (auto& one : all) {
    const absl::Status status = one.get();
    if (status.ok()) {
      ++taken;
    } else {
      EXPECT_THAT(status, StatusIs(kUnavailable, HasSubstr("too slow")));
      ++refused;
    }
  }
  EXPECT_GE(taken, 3);
  EXPECT_GE(refused, 1);
  EXPECT_EQ(Waiting('a').size(), static_cast<size_t>(taken));
}

TEST_F(SpoolTest, AUidThatIsNoneIsRefused) {
  Open();
  Record record = RecordOf('a', "x");
  record.tenant_uid = "short";
  absl::Status status;
  spool_->Append(record, {}, [&](absl::Status s) { status = std::move(s); });
  EXPECT_THAT(status, StatusIs(kInvalidArgument));
  EXPECT_THAT(spool_->DropTenant("short"), StatusIs(kInvalidArgument));
}

}  // namespace
}  // namespace insula::spool
