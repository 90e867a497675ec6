#include "libs/registry_client/saver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/registry_client/fake_registry.h"
#include "libs/status/status_matchers.h"
#include "libs/sync/mutex.h"

namespace insula::registry_client {
namespace {

std::shared_ptr<const tenancy::Snapshot> SnapshotOf(int64_t revision) {
  tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
  EXPECT_THAT(builder.Put(MakeTenant("red")), IsOk());
  return std::move(builder).Build(revision, "epoch");
}

class SaverTest : public testing::Test {
 protected:
  SaverTest() { std::filesystem::remove_all(dir_); }

  void Start() {
    saver_ = std::make_unique<Saver>(LastGoodFile(dir_),
                                     std::vector<registry::v1::Kind>(),
                                     [this](const absl::Status& status) {
                                       sync::MutexLock lock(&mutex_);
                                       outcomes_.push_back(status);
                                       changed_.notify_all();
                                     });
  }

  // The outcome of the n-th save.
  absl::Status WaitFor(size_t n) {
    std::unique_lock<sync::Mutex> lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(20),
                           [&] { return outcomes_.size() >= n; })) {
      return absl::DeadlineExceededError("no such save");
    }
    return outcomes_[n - 1];
  }

  int64_t SavedRevision() {
    const auto loaded = LastGoodFile(dir_).Load();
    return loaded.ok() ? loaded->snapshot->revision() : -1;
  }

  const std::string dir_ = absl::StrCat(
      testing::TempDir(), "/saver_",
      testing::UnitTest::GetInstance()->current_test_info()->name());
  sync::Mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<absl::Status> outcomes_;
  std::unique_ptr<Saver> saver_;
};

TEST_F(SaverTest, SavesWhatIsOffered) {
  Start();
  saver_->Offer(SnapshotOf(1), false);
  EXPECT_THAT(WaitFor(1), IsOk());
  EXPECT_EQ(SavedRevision(), 1);
  // While it rests, only what is urgent is saved, and at once.
  saver_->Offer(SnapshotOf(2), true);
  EXPECT_THAT(WaitFor(2), IsOk());
  EXPECT_EQ(SavedRevision(), 2);
}

TEST_F(SaverTest, SavesTheNewestAtItsEndAndSkipsTheOthers) {
  Start();
  saver_->Offer(SnapshotOf(1), true);
  EXPECT_THAT(WaitFor(1), IsOk());
  for (int64_t revision = 2; revision <= 1000; ++revision) {
    saver_->Offer(SnapshotOf(revision), false);
  }
  saver_ = nullptr;
  EXPECT_EQ(SavedRevision(), 1000);
  EXPECT_LT(outcomes_.size(), 100U);
}

TEST_F(SaverTest, TriesAgainAfterAFailure) {
  // The name of the temporary file is taken.
  std::filesystem::create_directories(dir_ + "/registry-snapshot.tmp/x");
  Start();
  saver_->Offer(SnapshotOf(1), false);
  EXPECT_FALSE(WaitFor(1).ok());
  std::filesystem::remove_all(dir_);
  // A second attempt may have failed before that.
  size_t attempt = 2;
  while (!WaitFor(attempt).ok() && attempt < 4) ++attempt;
  EXPECT_THAT(WaitFor(attempt), IsOk());
  EXPECT_EQ(SavedRevision(), 1);
}

}  // namespace
}  // namespace insula::registry_client
