// Many follow a registry that changes all the time and is killed: none of them
// misses a change, and none is told of one twice.
//
// FAULT_KILLS, FAULT_FOLLOWERS and FAULT_CHANGES (between two kills) make it
// longer.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <memory>
#include <thread>

#include "absl/time/clock.h"
#include "libs/status/status_matchers.h"
#include "tests/registry_faults/registry_under_test.h"

namespace insula::registry_faults {
namespace {

using registry_client::FollowedCopy;
using ::testing::IsEmpty;

// Follows until it is stopped, over as many streams as it takes.
class Follower {
 public:
  Follower(const RegistryUnderTest& registry, int number)
      : stub_(registry.NewStub()),
        copy_(absl::StrCat("follower/", number), {}),
        thread_([this] { Run(); }) {}
  ~Follower() { Stop(); }

  void Stop() {
    {
      sync::MutexLock lock(&mutex_);
      stopped_ = true;
      if (context_ != nullptr) context_->TryCancel();
    }
    if (thread_.joinable()) thread_.join();
  }
  int64_t revision() const { return revision_; }
  // After Stop().
  const FollowedCopy& copy() const { return copy_; }
  int64_t streams() const { return streams_; }

 private:
  void Run() {
    while (true) {
      grpc::ClientContext context;
      context.set_wait_for_ready(true);
      {
        sync::MutexLock lock(&mutex_);
        if (stopped_) return;
        context_ = &context;
      }
      Follow(&context);
      sync::MutexLock lock(&mutex_);
      context_ = nullptr;
    }
  }

  void Follow(grpc::ClientContext* context) {
    const auto stream = stub_->Watch(context);
    v1::WatchRequest request;
    *request.mutable_subscribe() = copy_.BeginStream();
    stream->Write(request);
    v1::WatchResponse message;
    bool any = false;
    while (stream->Read(&message)) {
      if (!std::exchange(any, true)) ++streams_;
      copy_.Take(message);
      revision_ = copy_.revision();
      v1::WatchRequest ack;
      ack.mutable_ack()->set_revision(copy_.revision());
      stream->Write(ack);
    }
    stream->Finish().error_code();
  }

  const std::unique_ptr<v1::TenantRegistry::Stub> stub_;
  FollowedCopy copy_;  // Of the thread.
  int64_t streams_ = 0;
  std::atomic<int64_t> revision_ = 0;
  sync::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::thread thread_;
};

TEST(FollowersTest, NobodyMissesAChangeOrIsToldTwice) {
  const int64_t kills = Setting("FAULT_KILLS", 2);
  const int64_t count = Setting("FAULT_FOLLOWERS", 10);
  const int64_t changes = Setting("FAULT_CHANGES", 80);
  RegistryUnderTest registry;
  ASSERT_TRUE(registry.Start());
  Ledger ledger;
  std::vector<std::unique_ptr<Follower>> followers;
  for (int i = 0; i < count; ++i) {
    followers.push_back(std::make_unique<Follower>(registry, i));
  }
  std::vector<std::unique_ptr<Writer>> writers;
  constexpr int kWriters = 20;  // Of 5 changes a second each.
  for (int i = 0; i < kWriters; ++i) {
    writers.push_back(std::make_unique<Writer>(
        registry, &ledger, static_cast<uint64_t>(Setting("FAULT_SEED", 1) + i),
        i, absl::Milliseconds(200)));
    writers.back()->Resume();
  }

  absl::Duration down;
  const absl::Time begin = absl::Now();
  for (int64_t kill = 0; kill < kills; ++kill) {
    ASSERT_TRUE(
        ledger.WaitForAcknowledged(ledger.counts().acknowledged + changes));
    registry.Kill();
    const absl::Time killed = absl::Now();
    ASSERT_TRUE(registry.Start());
    down += absl::Now() - killed;
  }
  ASSERT_TRUE(
      ledger.WaitForAcknowledged(ledger.counts().acknowledged + changes));
  const absl::Duration took = absl::Now() - begin;
  for (const auto& writer : writers) writer->Pause();

  const auto status = ReadStatus(registry.NewStub().get());
  ASSERT_THAT(status, IsOk());
  const absl::Time ended = absl::Now();
  const bool all = e2e::WaitUntil([&] {
    return std::all_of(followers.begin(), followers.end(), [&](const auto& f) {
      return f->revision() >= status->revision();
    });
  });
  const absl::Duration behind = absl::Now() - ended;
  EXPECT_TRUE(all) << "not all followers get to the end";
  for (const auto& follower : followers) follower->Stop();

  EXPECT_THAT(ledger.faults(), IsEmpty());
  ASSERT_THAT(ledger.history().Replay(status->revision()), IsOk());
  int64_t streams = 0;
  int64_t told = 0;
  for (const auto& follower : followers) {
    EXPECT_THAT(follower->copy().Check(ledger.history()), IsOk());
    EXPECT_EQ(follower->copy().resets(), 1) << "it did not resume";
    EXPECT_GT(follower->streams(), kills);
    streams += follower->streams();
    told += follower->copy().changes();
  }
  std::cout << count << " followers, " << kills << " kills, "
            << status->revision() << " changes, "
            << static_cast<double>(status->revision()) /
                   absl::ToDoubleSeconds(took - down)
            << "/s while the registry was up: " << streams << " streams, "
            << told << " changes of objects told, none missed, none twice; the "
            << "last follower was " << absl::FormatDuration(behind)
            << " behind at the end\n";
}

}  // namespace
}  // namespace insula::registry_faults
