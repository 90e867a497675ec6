#include <map>

#include "services/tenant_registry/sqlite.h"
#include "services/tenant_registry/watch_fixture.h"

namespace insula::tenant_registry {
namespace {

using testing::ElementsAre;
using testing::Eq;
using testing::Ge;
using testing::HasSubstr;
using testing::IsEmpty;
using Phase = v1::WatchResponse::Phase;

TEST_F(WatchTest, BeginsWithASnapshotAndGoesOnWithDeltas) {
  Start();
  ASSERT_THAT(
      Apply({Put(UpstreamObject("store")), Put(TenantObject("red", "store"))}),
      IsOk());
  Follower follower(stub_.get(), From());
  EXPECT_THAT(follower.ReadTo(1),
              ElementsAre(v1::WatchResponse::PHASE_RESET,
                          v1::WatchResponse::PHASE_SNAPSHOT,
                          v1::WatchResponse::PHASE_SNAPSHOT_END));
  EXPECT_THAT(follower.objects.size(), Eq(2u));
  EXPECT_THAT(follower.object_count, Eq(2));
  EXPECT_THAT(follower.epoch, Eq(Status().epoch()));

  ASSERT_THAT(Apply({Put(TenantObject("blue", "store")),
                     Delete(v1::KIND_TENANT, "red")}),
              IsOk());
  follower.ReadTo(2);
  EXPECT_THAT(follower.objects.size(), Eq(2u));
  EXPECT_TRUE(follower.objects.contains({v1::KIND_TENANT, "blue"}));
  EXPECT_THAT((follower.objects[{v1::KIND_TENANT, "blue"}].meta().uid().size()),
              Eq(16u));
}

TEST_F(WatchTest, ASnapshotComesInChunksOfOneRevision) {
  watch_options_.max_message_bytes = 1000;
  Start();
  PutTenants(50, "a name of some length, so that few fit into one message");
  Follower follower(stub_.get(), From());
  const std::vector<Phase> phases = follower.ReadTo(50);
  EXPECT_THAT(phases.size(), Ge(10u));
  EXPECT_THAT(follower.objects.size(), Eq(50u));
  EXPECT_THAT(follower.object_count, Eq(50));
}

TEST_F(WatchTest, AnEmptyStoreIsASnapshotOfNothing) {
  Start();
  Follower follower(stub_.get(), From());
  EXPECT_THAT(follower.Read()->phase(), Eq(v1::WatchResponse::PHASE_RESET));
  EXPECT_THAT(follower.Read()->phase(),
              Eq(v1::WatchResponse::PHASE_SNAPSHOT_END));
  EXPECT_THAT(follower.object_count, Eq(0));
}

TEST_F(WatchTest, WhereTheLogCantBeReadFollowersBeginAnew) {
  Start();
  PutTenants(5, "a name");
  const v1::Subscribe from_2 = From(2, Status().epoch());
  Stop();
  {
    const auto file = sqlite::Open(dir_ + "/registry.db");
    ASSERT_THAT(file, IsOk());
    ASSERT_THAT(
        sqlite::Execute(file->get(),
                        "UPDATE change SET body=x'ff' WHERE revision=4"),
        IsOk());
  }
  Start();
  Follower refused(stub_.get(), from_2);
  EXPECT_FALSE(refused.Read().has_value());
  EXPECT_THAT(refused.Finish(), StatusIs(absl::StatusCode::kOutOfRange));
  Follower again(stub_.get(), from_2);
  EXPECT_THAT(again.ReadTo(5),
              ElementsAre(v1::WatchResponse::PHASE_RESET,
                          v1::WatchResponse::PHASE_SNAPSHOT,
                          v1::WatchResponse::PHASE_SNAPSHOT_END));
  EXPECT_THAT(again.objects.size(), Eq(5u));
}

TEST_F(WatchTest, ResumesWithTheChangesMissed) {
  Start();
  PutTenants(10);
  ASSERT_THAT(Apply({Delete(v1::KIND_TENANT, "t3")}), IsOk());
  Follower follower(stub_.get(), From(8, Status().epoch()));
  const std::vector<Phase> phases = follower.ReadTo(11);
  EXPECT_THAT(phases, testing::Each(Eq(v1::WatchResponse::PHASE_DELTA)));
  EXPECT_THAT(follower.objects.size(), Eq(2u));  // t8 and t9.
  ASSERT_THAT(Apply({Put(TenantObject("new"))}), IsOk());
  follower.ReadTo(12);
  EXPECT_THAT(follower.objects.size(), Eq(3u));
}

TEST_F(WatchTest, ResumesAfterARestart) {
  Start();
  PutTenants(3);
  const std::string epoch = Status().epoch();
  Stop();
  Start();
  Follower follower(stub_.get(), From(2, epoch));
  follower.ReadTo(3);
  EXPECT_THAT(follower.objects.size(), Eq(1u));
  EXPECT_THAT(follower.object_count, Eq(-1));
}

TEST_F(WatchTest, WhoHasEverythingHearsSoAtOnce) {
  watch_options_.progress_interval = absl::Hours(1);
  Start();
  PutTenants(3);
  Follower follower(stub_.get(), From(3, Status().epoch()));
  const auto response = follower.Read();
  ASSERT_TRUE(response.has_value());
  EXPECT_THAT(response->phase(), Eq(v1::WatchResponse::PHASE_PROGRESS));
  EXPECT_THAT(response->revision(), Eq(3));
}

TEST_F(WatchTest, StartsOverAfterCompaction) {
  options_.keep_changes = 10;
  Start();
  PutTenants(30);
  ASSERT_THAT(Status().oldest_revision(), Ge(15));
  Follower follower(stub_.get(), From(5, Status().epoch()));
  EXPECT_THAT(follower.Read()->phase(), Eq(v1::WatchResponse::PHASE_RESET));
  follower.ReadTo(30);
  EXPECT_THAT(follower.objects.size(), Eq(30u));
  // What is still kept can be resumed from.
  Follower recent(stub_.get(),
                  From(Status().oldest_revision(), Status().epoch()));
  recent.ReadTo(30);
  EXPECT_THAT(recent.object_count, Eq(-1));
}

TEST_F(WatchTest, StartsOverForAnotherEpochAndForAFutureRevision) {
  Start();
  PutTenants(3);
  Follower other(stub_.get(), From(2, std::string(32, '0')));
  EXPECT_THAT(other.Read()->phase(), Eq(v1::WatchResponse::PHASE_RESET));
  Follower future(stub_.get(), From(4, Status().epoch()));
  EXPECT_THAT(future.Read()->phase(), Eq(v1::WatchResponse::PHASE_RESET));
}

TEST_F(WatchTest, SendsTheKindsAskedFor) {
  watch_options_.progress_interval = absl::Milliseconds(20);
  Start();
  ASSERT_THAT(
      Apply({Put(UpstreamObject("store")), Put(TenantObject("red", "store"))}),
      IsOk());
  Follower follower(stub_.get(), From(0, "", {v1::KIND_TENANT}));
  follower.ReadTo(1);
  EXPECT_THAT(follower.object_count, Eq(1));
  // A change of other kinds moves the revision all the same.
  ASSERT_THAT(Apply({Put(UpstreamObject("other"))}), IsOk());
  follower.ReadTo(2);
  EXPECT_THAT(follower.objects.size(), Eq(1u));
}

TEST_F(WatchTest, IdleFollowersHearOfProgress) {
  watch_options_.progress_interval = absl::Milliseconds(10);
  Start();
  Follower follower(stub_.get(), From());
  follower.Read();
  follower.Read();
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(follower.Read()->phase(),
                Eq(v1::WatchResponse::PHASE_PROGRESS));
  }
}

TEST_F(WatchTest, StatusTellsWhoHasWhat) {
  Start();
  PutTenants(2);
  Follower follower(stub_.get(), From());
  follower.ReadTo(2);
  follower.Ack(2, {"t1"});
  ASSERT_TRUE(Eventually([this] {
    return Status().followers_size() == 1 &&
           Status().followers(0).acked_revision() == 2;
  }));
  const v1::StatusResponse status = Status();
  EXPECT_THAT(status.followers(0).client_id(), Eq("test/one"));
  ASSERT_THAT(status.followers(0).rejections_size(), Eq(1));
  EXPECT_THAT(status.followers(0).rejections(0).ref().id(), Eq("t1"));
  EXPECT_THAT(status.followers(0).rejections(0).reason(), Eq("no use for it"));
  EXPECT_THAT(metrics_.Expose(), HasSubstr("tenant_registry_watchers 1\n"));

  // A new version of the object is another chance.
  ASSERT_THAT(Apply({Put(TenantObject("t1", "", "mended"))}), IsOk());
  EXPECT_THAT(Status().followers(0).rejections(), IsEmpty());
  EXPECT_THAT(Status().followers(0).peer(), HasSubstr("127.0.0.1"));
  EXPECT_THAT(Status().followers(0).connected_at().seconds(),
              Eq(1'790'000'000));
  EXPECT_THAT(Status().followers(0).acked_at().seconds(), Eq(1'790'000'000));
  // Who acknowledges the future is not believed.
  follower.Ack(99);
  ASSERT_TRUE(Eventually(
      [this] { return Status().followers(0).acked_revision() == 3; }));
}

TEST_F(WatchTest, StatusTellsHowFarAFollowerIsBehind) {
  watch_options_.progress_interval = absl::Milliseconds(10);
  Start();
  const auto behind = [this] {
    return Status().followers(0).behind().seconds();
  };
  PutTenants(2);
  Follower follower(stub_.get(), From(0, "", {v1::KIND_TENANT}));
  follower.ReadTo(2);
  clock_.Advance(absl::Seconds(7));
  EXPECT_THAT(behind(), Eq(7));  // It has just come.
  follower.Ack(2);
  ASSERT_TRUE(Eventually([&] { return behind() == 0; }));
  ASSERT_THAT(Apply({Put(TenantObject("t2"))}), IsOk());
  clock_.Advance(absl::Seconds(5));
  ASSERT_THAT(Apply({Put(TenantObject("t3"))}), IsOk());
  clock_.Advance(absl::Seconds(5));
  EXPECT_THAT(behind(), Eq(10));
  EXPECT_THAT(metrics_.Expose(),
              HasSubstr("tenant_registry_watch_behind_seconds 10\n"));
  follower.ReadTo(3);
  follower.Ack(3);
  ASSERT_TRUE(Eventually([&] { return behind() == 5; }));
  follower.ReadTo(4);
  follower.Ack(4);
  ASSERT_TRUE(Eventually([&] { return behind() == 0; }));
  // What it does not follow, it need not acknowledge.
  ASSERT_THAT(Apply({Put(UpstreamObject("store"))}), IsOk());
  clock_.Advance(absl::Seconds(5));
  EXPECT_THAT(behind(), Eq(0));
}

TEST_F(WatchTest, WhoResumesWithEverythingIsNotBehind) {
  Start();
  PutTenants(2);
  Follower follower(stub_.get(), From(2, Status().epoch()));
  ASSERT_TRUE(follower.Read().has_value());
  clock_.Advance(absl::Seconds(5));
  EXPECT_THAT(Status().followers(0).behind().seconds(), Eq(0));
  EXPECT_THAT(Status().followers(0).acked_revision(), Eq(2));
}

TEST_F(WatchTest, TheDigestIsThatOfTheKindsFollowed) {
  Start();
  Follower all(stub_.get(), From());
  Follower tenants(stub_.get(), From(0, "", {v1::KIND_TENANT}));
  all.ReadTo(0);
  tenants.ReadTo(0);
  int64_t revision = 0;
  for (int i = 0; i < 20; ++i) {
    std::vector<v1::Operation> operations;
    operations.push_back(Put(UpstreamObject(absl::StrCat("u", i))));
    operations.push_back(
        Put(TenantObject(absl::StrCat("t", i % 7), absl::StrCat("u", i))));
    // Nobody refers to it any more.
    if (i >= 7) {
      operations.push_back(Delete(v1::KIND_UPSTREAM, absl::StrCat("u", i - 7)));
    }
    const auto applied = Apply(std::move(operations));
    ASSERT_THAT(applied, IsOk());
    revision = *applied;
    all.ReadTo(revision);
    tenants.ReadTo(revision);
  }
  ASSERT_THAT(Apply({Delete(v1::KIND_TENANT, "t3")}), IsOk());
  all.ReadTo(revision + 1);
  tenants.ReadTo(revision + 1);
  EXPECT_THAT(all.sets_checked, Ge(20));
  EXPECT_THAT(all.diverged, Eq(0));
  EXPECT_THAT(tenants.sets_checked, Ge(20));
  EXPECT_THAT(tenants.diverged, Eq(0));
}

TEST_F(WatchTest, AFollowerThatLeavesIsForgotten) {
  Start();
  {
    Follower follower(stub_.get(), From());
    follower.Read();
    EXPECT_THAT(Status().followers_size(), Eq(1));
  }
  EXPECT_TRUE(Eventually([this] { return Status().followers_size() == 0; }));
}

// Random changes and disconnections: the copy always ends equal to the store.
TEST_F(WatchTest, NoChangeIsEverLostAcrossReconnections) {
  options_.keep_changes = 40;
  Start();
  std::srand(7);
  std::map<ObjectKey, v1::Object> copy;
  int64_t revision = 0;
  std::string epoch;
  for (int round = 0; round < 25; ++round) {
    Follower follower(stub_.get(), From(revision, epoch));
    follower.objects = copy;
    follower.revision = revision;
    int64_t last = Status().revision();
    for (int i = std::rand() % 6; i > 0; --i) {
      const std::string id = absl::StrCat("t", std::rand() % 12);
      const bool there = Get(v1::KIND_TENANT, id).ok();
      const auto applied =
          Apply({there && std::rand() % 2 == 0
                     ? Delete(v1::KIND_TENANT, id)
                     : Put(TenantObject(id, "", absl::StrCat(round, ".", i)))});
      ASSERT_THAT(applied, IsOk());
      last = *applied;
    }
    if (std::rand() % 3 != 0) follower.ReadTo(last);
    copy = follower.objects;
    revision = follower.revision;
    epoch = follower.epoch.empty() ? epoch : follower.epoch;
  }
  Follower follower(stub_.get(), From(revision, epoch));
  follower.objects = copy;
  follower.revision = revision;
  follower.ReadTo(Status().revision());
  EXPECT_THAT(follower.diverged, Eq(0));
  const auto view = registry_->CurrentView();
  EXPECT_THAT(follower.objects.size(), Eq(view->objects.size()));
  for (const ObjectPtr& object : view->objects) {
    EXPECT_THAT(follower.objects[KeyOf(*object)].SerializeAsString(),
                Eq(object->SerializeAsString()));
  }
}

}  // namespace
}  // namespace insula::tenant_registry
