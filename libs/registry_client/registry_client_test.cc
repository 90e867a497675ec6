#include "libs/registry_client/registry_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/ip/host_name.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/metrics/exposed_value.h"
#include "libs/registry_client/fake_registry.h"
#include "libs/registry_client/last_good_file.h"
#include "libs/status/status_matchers.h"
#include "libs/sync/mutex.h"

namespace insula::registry_client {
namespace {

namespace v1 = ::insula::registry::v1;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::NotNull;
using Snapshot = tenancy::Snapshot;

constexpr char kOtherEpoch[] = "ffffffffffffffffffffffffffffffff";

// Hears of every copy and lets the test wait for one.
class Listener {
 public:
  void Hear(const std::shared_ptr<const Snapshot>& snapshot) {
    {
      sync::MutexLock lock(&mutex_);
      revisions_.push_back(snapshot->revision());
      newest_ = snapshot;
    }
    changed_.notify_all();
  }
  // Null if it does not come within 20 s.
  std::shared_ptr<const Snapshot> WaitFor(int64_t revision) {
    std::unique_lock<sync::Mutex> lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(20), [&] {
          return newest_ != nullptr && newest_->revision() >= revision;
        })) {
      return nullptr;
    }
    return newest_;
  }
  void Forget() {
    sync::MutexLock lock(&mutex_);
    newest_ = nullptr;
    revisions_.clear();
  }
  std::vector<int64_t> revisions() {
    sync::MutexLock lock(&mutex_);
    return revisions_;
  }

 private:
  sync::Mutex mutex_;
  std::condition_variable_any changed_;
  std::shared_ptr<const Snapshot> newest_;
  std::vector<int64_t> revisions_;
};

class RegistryClientTest : public testing::Test {
 protected:
  RegistryClientTest() {
    std::filesystem::remove_all(dir_);
    options_.client_id = ClientId("test");
    options_.address = registry_->address();
  }
  ~RegistryClientTest() override {
    client_ = nullptr;
    registry_ = nullptr;
    pool_.join();
  }

  void Start(std::vector<v1::Kind> kinds = {v1::KIND_TENANT,
                                            v1::KIND_BINDING}) {
    auto client = RegistryClient::Start(options_, std::move(kinds),
                                        pool_.get_executor(), metrics_.get());
    ASSERT_THAT(client, IsOk());
    client_ = *std::move(client);
    client_->OnChange([this](const std::shared_ptr<const Snapshot>& snapshot) {
      listener_.Hear(snapshot);
    });
  }

  // Starts, and takes a first snapshot of revision 5.
  std::shared_ptr<FakeRegistry::Stream> StartWith(
      const std::vector<v1::Object>& objects) {
    Start();
    auto stream = registry_->Accept();
    if (stream == nullptr) return nullptr;
    EXPECT_TRUE(stream->SendSnapshot(objects, 5));
    EXPECT_THAT(listener_.WaitFor(5), NotNull());
    return stream;
  }

  void RestartRegistry() {
    const int port = registry_->port();
    registry_ = nullptr;
    registry_ = std::make_unique<FakeRegistry>(port);
    ASSERT_EQ(registry_->port(), port);
  }

  // The value of a line of the exposition; -1 if there is none.
  double Metric(const std::string& series) {
    return metrics::ExposedValue(metrics_->Expose(), series).value_or(-1);
  }
  double Refused(const std::string& reason) {
    return Metric(absl::StrCat(
        "insula_registry_refused_snapshots_total{reason=\"", reason, "\"}"));
  }

  std::string Name(const std::string& tenant) {
    const auto snapshot = client_->snapshot();
    const tenancy::Tenant* found = snapshot->FindTenant(tenant);
    return found == nullptr ? "none" : found->spec.display_name();
  }

  const std::string dir_ = absl::StrCat(
      testing::TempDir(), "/registry_client_",
      testing::UnitTest::GetInstance()->current_test_info()->name());
  std::unique_ptr<metrics::Registry> metrics_ =
      std::make_unique<metrics::Registry>();
  boost::asio::thread_pool pool_{2};
  std::unique_ptr<FakeRegistry> registry_ = std::make_unique<FakeRegistry>();
  Options options_;
  Listener listener_;
  std::unique_ptr<RegistryClient> client_;
};

TEST_F(RegistryClientTest, IsNotReadyUntilItHasACopy) {
  Start();
  EXPECT_THAT(client_->Ready(),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("no copy of the tenant-registry yet")));
  ASSERT_THAT(client_->snapshot(), NotNull());
  EXPECT_EQ(client_->snapshot()->object_count(), 0);

  auto stream = registry_->Accept();
  ASSERT_THAT(stream, NotNull());
  stream->SendSnapshot({}, 1);
  ASSERT_THAT(listener_.WaitFor(1), NotNull());
  EXPECT_THAT(client_->Ready(), IsOk());
}

TEST_F(RegistryClientTest, TakesASnapshotAndDeltasAndAcknowledges) {
  Start();
  auto stream = registry_->Accept();
  ASSERT_THAT(stream, NotNull());
  EXPECT_EQ(stream->subscribe().client_id(),
            absl::StrCat("test/", boost::asio::ip::host_name()));
  EXPECT_THAT(stream->subscribe().kinds(),
              ElementsAre(v1::KIND_TENANT, v1::KIND_BINDING));
  EXPECT_EQ(stream->subscribe().resume_revision(), 0);
  EXPECT_THAT(stream->subscribe().epoch(), IsEmpty());

  stream->SendSnapshot({MakeTenant("red", "1"), MakeTenant("blue", "1")}, 5);
  ASSERT_THAT(listener_.WaitFor(5), NotNull());
  EXPECT_TRUE(stream->WaitForAck(5).has_value());
  EXPECT_EQ(Name("red"), "1");

  stream->SendDelta({MakeTenant("red", "2")},
                    {MakeRef(v1::KIND_TENANT, "blue")}, 6);
  const auto ack = stream->WaitForAck(6);
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->rejections_size(), 0);
  EXPECT_EQ(Name("red"), "2");
  EXPECT_EQ(Name("blue"), "none");

  EXPECT_EQ(Metric("insula_registry_revision"), 6);
  EXPECT_EQ(Metric("insula_registry_objects"), 1);
  EXPECT_EQ(Metric("insula_registry_connected"), 1);
  EXPECT_EQ(Metric("insula_registry_changes_total"), 4);
  EXPECT_LT(Metric("insula_registry_staleness_seconds"), 20);
  EXPECT_EQ(Metric("insula_registry_staleness_seconds") >= 0, true);
}

TEST_F(RegistryClientTest, ManyDeltasMakeFewCopiesAndTheLastOneCounts) {
  auto stream = StartWith({MakeTenant("red", "0")});
  ASSERT_THAT(stream, NotNull());
  constexpr int kLast = 1005;
  for (int revision = 6; revision <= kLast; ++revision) {
    ASSERT_TRUE(stream->SendDelta({MakeTenant("red", absl::StrCat(revision))},
                                  {}, revision));
  }
  ASSERT_THAT(listener_.WaitFor(kLast), NotNull());
  EXPECT_TRUE(stream->WaitForAck(kLast).has_value());
  EXPECT_EQ(Name("red"), absl::StrCat(kLast));
  const std::vector<int64_t> revisions = listener_.revisions();
  EXPECT_TRUE(std::is_sorted(revisions.begin(), revisions.end()));
}

TEST_F(RegistryClientTest, GoesOnWhereItWasAfterARestart) {
  auto stream = StartWith({MakeTenant("red", "1")});
  ASSERT_THAT(stream, NotNull());
  const absl::Time begin = absl::Now();
  RestartRegistry();
  auto again = registry_->Accept();
  ASSERT_THAT(again, NotNull());
  // The goal is one second; a busy machine may take longer. gRPC's own backoff
  // would grow to two minutes.
  EXPECT_LT(absl::Now() - begin, absl::Seconds(30));
  EXPECT_EQ(again->subscribe().resume_revision(), 5);
  EXPECT_EQ(again->subscribe().epoch(), FakeRegistry::kEpoch);
  EXPECT_EQ(Name("red"), "1");
  EXPECT_THAT(client_->Ready(), IsOk());
  again->SendDelta({MakeTenant("red", "2")}, {}, 6);
  ASSERT_THAT(listener_.WaitFor(6), NotNull());
  EXPECT_EQ(Name("red"), "2");
  EXPECT_GE(Metric("insula_registry_disconnects_total"), 1);
}

TEST_F(RegistryClientTest, RefusesAnotherEpoch) {
  auto stream = StartWith({MakeTenant("red", "1")});
  ASSERT_THAT(stream, NotNull());
  stream->SendSnapshot({MakeTenant("red", "other")}, 9, kOtherEpoch);
  EXPECT_TRUE(stream->WaitForEnd());
  EXPECT_EQ(Name("red"), "1");
  EXPECT_EQ(Refused("other_epoch"), 1);
  EXPECT_THAT(client_->Ready(), IsOk());
}

TEST_F(RegistryClientTest, TakesAnotherEpochOverIfToldTo) {
  options_.accept_new_epoch = true;
  auto stream = StartWith({MakeTenant("red", "1")});
  ASSERT_THAT(stream, NotNull());
  stream->SendSnapshot({MakeTenant("red", "other")}, 1, kOtherEpoch);
  stream->SendProgress(7, kOtherEpoch);
  ASSERT_THAT(listener_.WaitFor(7), NotNull());
  EXPECT_EQ(Name("red"), "other");
}

TEST_F(RegistryClientTest, RefusesAnEmptySnapshot) {
  auto stream = StartWith({MakeTenant("red", "1")});
  ASSERT_THAT(stream, NotNull());
  stream->SendSnapshot({}, 6);
  EXPECT_TRUE(stream->WaitForEnd());
  EXPECT_EQ(Name("red"), "1");
  EXPECT_EQ(Refused("empty"), 1);
}

TEST_F(RegistryClientTest, RefusesALowerRevision) {
  auto stream = StartWith({MakeTenant("red", "1")});
  ASSERT_THAT(stream, NotNull());
  stream->SendSnapshot({MakeTenant("red", "0")}, 4);
  EXPECT_TRUE(stream->WaitForEnd());
  EXPECT_EQ(Name("red"), "1");
  EXPECT_EQ(Refused("older_revision"), 1);
}

TEST_F(RegistryClientTest, KeepsAndReportsWhatItCanNotUse) {
  auto stream = StartWith({MakeTenant("red", "1")});
  ASSERT_THAT(stream, NotNull());
  v1::Object bad = MakeTenant("red", "2");
  bad.mutable_tenant()->set_org_id("a|b");
  stream->SendDelta({bad, MakeTenant("blue", "2")}, {}, 6);
  const auto ack = stream->WaitForAck(6);
  ASSERT_TRUE(ack.has_value());
  ASSERT_EQ(ack->rejections_size(), 1);
  EXPECT_EQ(ack->rejections(0).ref().id(), "red");
  EXPECT_THAT(ack->rejections(0).reason(), HasSubstr("spec.org_id"));
  EXPECT_EQ(Name("red"), "1");
  EXPECT_EQ(Name("blue"), "2");
  EXPECT_EQ(Metric("insula_registry_rejected_objects"), 1);
}

TEST_F(RegistryClientTest, ACopyThatIsNotAsItShouldBeIsReplacedAtOnce) {
  options_.silence_timeout = absl::Minutes(5);
  auto stream = StartWith({MakeTenant("red", "1")});
  ASSERT_THAT(stream, NotNull());
  v1::WatchResponse progress;
  progress.set_phase(v1::WatchResponse::PHASE_PROGRESS);
  progress.set_epoch(FakeRegistry::kEpoch);
  progress.set_revision(5);
  progress.mutable_set()->add_kinds()->set_kind(v1::KIND_TENANT);
  progress.mutable_set()->mutable_kinds(0)->set_count(2);
  const absl::Time start = absl::Now();
  stream->Send(progress);
  EXPECT_TRUE(stream->WaitForEnd());
  stream = registry_->Accept();
  ASSERT_THAT(stream, NotNull());
  EXPECT_LT(absl::Now() - start, absl::Minutes(1));
  EXPECT_EQ(stream->subscribe().resume_revision(), 0);
  EXPECT_EQ(Refused("diverged"), 1);
  EXPECT_EQ(Name("red"), "1");  // Meanwhile.
  stream->SendSnapshot({MakeTenant("red", "2")}, 5);
  EXPECT_TRUE(stream->WaitForAck(5).has_value());
  EXPECT_EQ(Name("red"), "2");
}

TEST_F(RegistryClientTest, ConnectsAnewToASilentRegistry) {
  options_.silence_timeout = absl::Seconds(2);
  auto stream = StartWith({MakeTenant("red", "1")});
  ASSERT_THAT(stream, NotNull());
  EXPECT_TRUE(stream->WaitForEnd());
  EXPECT_THAT(registry_->Accept(), NotNull());
  EXPECT_EQ(Name("red"), "1");
}

TEST_F(RegistryClientTest, StartsFromDiskWithoutTheRegistry) {
  options_.state_dir = dir_;
  ASSERT_THAT(StartWith({MakeTenant("red", "1")}), NotNull());
  client_ = nullptr;  // Saves what was not saved yet.
  registry_ = nullptr;
  listener_.Forget();

  Start();
  EXPECT_EQ(Name("red"), "1");
  EXPECT_EQ(client_->snapshot()->revision(), 5);
  EXPECT_THAT(client_->Ready(), IsOk());
  // Listeners hear of it too.
  EXPECT_THAT(listener_.WaitFor(5), NotNull());
}

TEST_F(RegistryClientTest, GoesOnFromDisk) {
  options_.state_dir = dir_;
  auto stream = StartWith({MakeTenant("red", "1")});
  ASSERT_THAT(stream, NotNull());
  stream->SendDelta({MakeTenant("red", "2")}, {}, 6);
  ASSERT_TRUE(stream->WaitForAck(6).has_value());
  client_ = nullptr;

  Start();
  auto again = registry_->Accept();
  ASSERT_THAT(again, NotNull());
  EXPECT_EQ(again->subscribe().resume_revision(), 6);
  EXPECT_EQ(again->subscribe().epoch(), FakeRegistry::kEpoch);
  EXPECT_EQ(Name("red"), "2");
}

TEST_F(RegistryClientTest, AsksForEverythingIfItNeedsOtherKindsThanOnDisk) {
  options_.state_dir = dir_;
  ASSERT_THAT(StartWith({MakeTenant("red", "1")}), NotNull());
  client_ = nullptr;

  Start({v1::KIND_TENANT, v1::KIND_UPSTREAM});
  EXPECT_EQ(Name("red"), "1");
  auto again = registry_->Accept();
  ASSERT_THAT(again, NotNull());
  EXPECT_EQ(again->subscribe().resume_revision(), 0);
}

TEST_F(RegistryClientTest, StartsEmptyFromADamagedFile) {
  options_.state_dir = dir_;
  ASSERT_THAT(StartWith({MakeTenant("red", "1")}), NotNull());
  client_ = nullptr;
  const LastGoodFile file(dir_);
  std::filesystem::resize_file(file.path(),
                               std::filesystem::file_size(file.path()) - 1);
  std::filesystem::remove(file.previous_path());

  Start();
  EXPECT_EQ(client_->snapshot()->object_count(), 0);
  EXPECT_EQ(Metric("insula_registry_save_failures_total"), 1);
  auto again = registry_->Accept();
  ASSERT_THAT(again, NotNull());
  EXPECT_EQ(again->subscribe().resume_revision(), 0);
  again->SendSnapshot({MakeTenant("red", "2")}, 6);
  ASSERT_THAT(listener_.WaitFor(6), NotNull());
  EXPECT_EQ(Name("red"), "2");
}

TEST_F(RegistryClientTest, ACopyFromDiskIsNotReplacedByAnotherEpoch) {
  options_.state_dir = dir_;
  ASSERT_THAT(StartWith({MakeTenant("red", "1")}), NotNull());
  client_ = nullptr;

  Start();
  auto again = registry_->Accept();
  ASSERT_THAT(again, NotNull());
  again->SendSnapshot({MakeTenant("red", "other")}, 9, kOtherEpoch);
  EXPECT_TRUE(again->WaitForEnd());
  EXPECT_EQ(Name("red"), "1");
  EXPECT_EQ(Refused("other_epoch"), 1);
}

TEST_F(RegistryClientTest, IsNotReadyWhenTooStale) {
  options_.max_staleness = absl::Nanoseconds(1);  // Shorter than any silence.
  ASSERT_THAT(StartWith({MakeTenant("red", "1")}), NotNull());
  EXPECT_THAT(client_->Ready(), StatusIs(absl::StatusCode::kUnavailable,
                                         HasSubstr("more than max_staleness")));
  EXPECT_EQ(Name("red"), "1");
}

TEST_F(RegistryClientTest, IsReadyUntilTooStale) {
  options_.max_staleness = absl::Hours(1);
  ASSERT_THAT(StartWith({MakeTenant("red", "1")}), NotNull());
  EXPECT_THAT(client_->Ready(), IsOk());
}

TEST_F(RegistryClientTest, NoListenerRunsAfterItsEnd) {
  auto stream = StartWith({MakeTenant("red", "1")});
  ASSERT_THAT(stream, NotNull());
  client_ = nullptr;
  const size_t heard = listener_.revisions().size();
  EXPECT_TRUE(stream->WaitForEnd());
  EXPECT_EQ(listener_.revisions().size(), heard);
}

TEST(RegistryClientOptionsTest, AreValidated) {
  EXPECT_THAT(Options().Validate(), IsOk());
  Options nowhere;
  nowhere.address = "";
  EXPECT_THAT(nowhere.Validate(), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("registry.address")));
}

}  // namespace
}  // namespace insula::registry_client
