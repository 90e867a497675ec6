#include "services/ingest_gateway/queue.h"

#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "libs/runtime/blocking_pool.h"
#include "libs/status/status_matchers.h"
#include "services/ingest_gateway/tenant_state.h"
#include "services/ingest_gateway/write_fixture.h"

namespace insula::ingest_gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The fixture of the handler, with a queue.
class QueueTest : public WriteFixture {
 protected:
  QueueTest() {
    std::string path = testing::TempDir() + "/queue.XXXXXX";
    path_ = mkdtemp(path.data());
    queue_config_.dir = path_ + "/queue";
    queue_config_.min_free.value = 0;
    queue_config_.direct_timeout = absl::Milliseconds(500);
    dead_letters_config_.file = path_ + "/refused";
    OpenQueue();
  }
  ~QueueTest() override {
    handler_.reset();
    queue_.reset();
    store_.Release();
    std::filesystem::remove_all(path_);
  }

  // Closes it, and begins another life.
  void OpenQueue() {
    handler_.reset();
    queue_.reset();
    handler_metrics_ = std::make_unique<metrics::Registry>();
    auto letters = DeadLetters::Open(dead_letters_config_, &blocking_,
                                     &real_clock_, handler_metrics_.get());
    ASSERT_THAT(letters, IsOk());
    dead_letters_ = *std::move(letters);
    sender_ = std::make_unique<UpstreamSender>(
        "insula/test", &client_, &real_clock_, handler_metrics_.get(),
        dead_letters_.get());
    auto queue = Queue::Open(
        queue_config_, [this] { return Latest(); }, sender_.get(), &blocking_,
        pool_.get_executor(), &real_clock_, handler_metrics_.get());
    ASSERT_THAT(queue, IsOk());
    queue_ = *std::move(queue);
    handler_ = std::make_unique<WriteHandler>(
        config_, [this] { return Latest(); }, sender_.get(),
        pool_.get_executor(), &real_clock_, handler_metrics_.get(),
        queue_.get());
  }

  // The drain asks from threads of its own.
  std::shared_ptr<const tenancy::Snapshot> Latest() {
    sync::MutexLock lock(&snapshot_mutex_);
    if (latest_ == nullptr) latest_ = Snapshot();
    return latest_;
  }
  void RegistryChanged() {
    sync::MutexLock lock(&snapshot_mutex_);
    latest_ = Snapshot();
  }

  static bool WaitUntil(const std::function<bool()>& condition) {
    const absl::Time end = absl::Now() + absl::Seconds(60);
    while (!condition()) {
      if (absl::Now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return true;
  }
  bool IsDrained(const std::string& tenant) {
    return WaitUntil([&] { return !queue_->HasBacklog(UidOf(tenant)); });
  }
  std::string UidOf(const std::string& tenant) {
    return Latest()->FindTenant(tenant)->uid;
  }

  // The samples' names that arrived for each tenant and were accepted, in
  // order.
  std::vector<std::string> Names(const std::string& tenant) {
    std::vector<std::string> names;
    auto arrived = Arrived();
    for (const std::string& series : arrived[tenant]) {
      names.push_back(series.substr(0, series.find(',')));
    }
    return names;
  }
  static std::string BodyNamed(const std::string& name,
                               const std::string& tenant = "red") {
    return Compressed(Message({{{"__name__", name}, {"namespace", tenant}}}));
  }

  std::string path_;
  QueueConfig queue_config_;
  DeadLettersConfig dead_letters_config_;
  RealClock real_clock_;
  runtime::BlockingPool blocking_{2, 100};
  sync::Mutex snapshot_mutex_;
  std::shared_ptr<const tenancy::Snapshot> latest_
      ABSL_GUARDED_BY(snapshot_mutex_);
  std::unique_ptr<DeadLetters> dead_letters_;
  std::unique_ptr<Queue> queue_;
};

TEST_F(QueueTest, InHealthNothingTouchesTheDisk) {
  EXPECT_EQ(Write("sender", BodyOf({"red", "blue"})).status, 204);
  EXPECT_EQ(Metric("insula_spool_appended_records_total"), 0);
  EXPECT_THAT(TenantsReached(), ElementsAre("blue", "red"));
}

TEST_F(QueueTest, WhatAStoreDoesNotTakeIsTakenAndDeliveredLater) {
  store_.SetMood("red", {.status = 503});
  EXPECT_EQ(Write("sender", BodyOf({"red", "blue"})).status, 204);
  EXPECT_TRUE(queue_->HasBacklog(UidOf("red")));
  EXPECT_FALSE(queue_->HasBacklog(UidOf("blue")));
  EXPECT_EQ(Metric("ingest_gateway_samples_queued_total{tenant=\"red\"}"), 1);
  EXPECT_EQ(Metric("ingest_gateway_samples_accepted_total{tenant=\"red\"}"), 0);
  store_.SetMood("red", {});
  EXPECT_TRUE(IsDrained("red"));
  EXPECT_EQ(Metric("ingest_gateway_samples_accepted_total{tenant=\"red\"}"), 1);
}

TEST_F(QueueTest, LaterPartsGoBehindThoseThatWait) {
  store_.SetMood("red", {.status = 500});
  ASSERT_EQ(Write("sender", BodyNamed("first")).status, 204);
  ASSERT_EQ(Write("sender", BodyNamed("second")).status, 204);
  ASSERT_EQ(Write("sender", BodyNamed("third")).status, 204);
  // Only the first was tried.
  for (const std::string& name : Names("red")) {
    EXPECT_EQ(name, "__name__=first");
  }
  store_.SetMood("red", {});
  ASSERT_TRUE(IsDrained("red"));
  std::vector<std::string> names = Names("red");
  names.erase(std::unique(names.begin(), names.end()), names.end());
  EXPECT_THAT(names, ElementsAre("__name__=first", "__name__=second",
                                 "__name__=third"));
}

TEST_F(QueueTest, AHungStoreOfOneTenantDelaysNoOther) {
  store_.SetMood("red", {.waits = true});
  const absl::Time start = absl::Now();
  ASSERT_EQ(Write("sender", BodyOf({"red", "blue"})).status, 204);
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  // From here on red is not waited for.
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(Write("sender", BodyOf({"red", "blue"})).status, 204);
  }
  EXPECT_FALSE(queue_->HasBacklog(UidOf("blue")));
  // Nor at the end.
  const absl::Time stop = absl::Now();
  OpenQueue();
  EXPECT_LT(absl::Now() - stop, absl::Seconds(10));
  EXPECT_TRUE(queue_->HasBacklog(UidOf("red")));
  store_.SetMood("red", {});
  store_.Release();
  EXPECT_TRUE(IsDrained("red"));
}

TEST_F(QueueTest, WhatWaitsSurvivesARestart) {
  store_.SetMood("red", {.status = 503});
  ASSERT_EQ(Write("sender", BodyNamed("kept")).status, 204);
  OpenQueue();
  EXPECT_TRUE(queue_->HasBacklog(UidOf("red")));
  store_.TakeSeen();
  store_.SetMood("red", {});
  ASSERT_TRUE(IsDrained("red"));
  EXPECT_THAT(Names("red"), ::testing::Contains("__name__=kept"));
}

TEST_F(QueueTest, WhatAStoreRefusesForGoodIsCountedAndGoesToTheDeadLetters) {
  store_.SetMood("red", {.status = 503});
  ASSERT_EQ(Write("sender", BodyNamed("poison")).status, 204);
  ASSERT_EQ(Write("sender", BodyNamed("next")).status, 204);
  store_.SetMood("red", {.status = 409});
  ASSERT_TRUE(IsDrained("red"));
  EXPECT_EQ(Metric("insula_spool_dropped_records_total{reason=\"refused\"}"),
            2);
  EXPECT_EQ(Metric("insula_spool_dropped_samples_total{reason=\"refused\"}"),
            2);
  EXPECT_EQ(Metric("ingest_gateway_dead_letters_total{result=\"written\"}"), 2);
  store_.SetMood("red", {});
  store_.TakeSeen();
  EXPECT_EQ(Write("sender", BodyNamed("fine")).status, 204);
  EXPECT_THAT(Names("red"), ElementsAre("__name__=fine"));
}

TEST_F(QueueTest, AFullQueueIs429AndTheOthersAreKept) {
  registry::v1::Limits& limits =
      *Add(registry::v1::KIND_LIMITS, "small")->mutable_limits();
  limits.set_max_queue_bytes(300);
  TenantNamed("red")->set_limits_id("small");
  RegistryChanged();
  store_.SetMood("red", {.status = 503});
  ASSERT_EQ(Write("sender", BodyOf({"red", "blue"})).status, 204);
  ASSERT_EQ(Write("sender", BodyOf({"red", "blue"})).status, 204);
  const http::Response full = Write("sender", BodyOf({"red", "blue"}));
  EXPECT_EQ(full.status, 429);
  EXPECT_TRUE(full.headers.Get("Retry-After").has_value());
  EXPECT_THAT(std::string(full.body), HasSubstr("queue_full"));
  EXPECT_EQ(
      Metric("ingest_gateway_samples_refused_total{reason=\"queue_full\"}"), 1);
  // The retry of it brings blue nothing twice.
  store_.TakeSeen();
  EXPECT_EQ(Write("sender", BodyOf({"red", "blue"})).status, 429);
  EXPECT_THAT(Arrived()["blue"], IsEmpty());
}

TEST_F(QueueTest, AFullQueueDropsItsOldestWhereTheLimitsSaySo) {
  registry::v1::Limits& limits =
      *Add(registry::v1::KIND_LIMITS, "small")->mutable_limits();
  limits.set_max_queue_bytes(300);
  limits.set_queue_full(registry::v1::Limits::QUEUE_FULL_DROP_OLDEST);
  TenantNamed("red")->set_limits_id("small");
  RegistryChanged();
  store_.SetMood("red", {.status = 503});
  for (const char* name : {"one", "two", "three", "four", "five"}) {
    ASSERT_EQ(Write("sender", BodyNamed(name)).status, 204) << name;
  }
  EXPECT_GE(Metric("insula_spool_dropped_records_total{reason=\"full\"}"), 2);
  store_.SetMood("red", {});
  ASSERT_TRUE(IsDrained("red"));
  EXPECT_EQ(Names("red").back(), "__name__=five");
}

TEST_F(QueueTest, TheQueueOfADeletedTenantIsDroppedAndNoOtherGetsIt) {
  queue_config_.deleted_tenant_grace = absl::Milliseconds(100);
  OpenQueue();
  store_.SetMood("red", {.status = 503});
  ASSERT_EQ(Write("sender", BodyNamed("secret")).status, 204);
  const std::string uid = UidOf("red");
  AddTenant("red");  // Made again: another uid.
  RegistryChanged();
  EXPECT_TRUE(WaitUntil([&] { return !queue_->HasBacklog(uid); }));
  EXPECT_EQ(
      Metric("insula_spool_dropped_records_total{reason=\"tenant_gone\"}"), 1);
  store_.SetMood("red", {});
  store_.TakeSeen();
  EXPECT_EQ(Write("sender", BodyNamed("of_the_next")).status, 204);
  EXPECT_THAT(Names("red"), ElementsAre("__name__=of_the_next"));
}

TEST_F(QueueTest, ATenantThatMovesTakesItsQueueAlong) {
  store_.SetMood("red", {.status = 503});
  ASSERT_EQ(Write("sender", BodyNamed("moved")).status, 204);
  auto& other = *Add(registry::v1::KIND_UPSTREAM, "other")->mutable_upstream();
  other.set_write_url(store_.url());
  other.set_isolation(registry::v1::Upstream::ISOLATION_HEADER);
  other.set_tenant_header("X-Other");
  TenantNamed("red")->set_upstream_id("other");
  RegistryChanged();
  ASSERT_TRUE(IsDrained("red"));
  bool came = false;
  for (const auto& seen : store_.TakeSeen()) {
    if (seen.headers.Get("X-Other") == "red") came = true;
  }
  EXPECT_TRUE(came);
}

TEST_F(QueueTest, OperatorsSeeWhatWaits) {
  store_.SetMood("red", {.status = 503});
  ASSERT_EQ(Write("sender", BodyOf({"red", "blue"})).status, 204);
  const auto states =
      TenantStates(&handler_->active_series(), queue_.get(), &real_clock_);
  const TenantState red = states(UidOf("red"));
  EXPECT_EQ(red.active_series, 1);
  EXPECT_GT(red.queued_bytes, 0);
  EXPECT_LT(*red.queue_lag, absl::Minutes(1));
  const TenantState blue = states(UidOf("blue"));
  EXPECT_EQ(blue.active_series, 1);
  EXPECT_EQ(blue.queued_bytes, 0);
  EXPECT_EQ(blue.queue_lag, absl::ZeroDuration());
  const auto without =
      TenantStates(&handler_->active_series(), nullptr, &real_clock_);
  EXPECT_EQ(without(UidOf("red")).queued_bytes, std::nullopt);
}

TEST_F(QueueTest, AlwaysWritesToDiskFirst) {
  queue_config_.mode = "always";
  OpenQueue();
  EXPECT_EQ(Write("sender", BodyOf({"red", "blue"})).status, 204);
  EXPECT_EQ(Metric("insula_spool_appended_records_total"), 2);
  EXPECT_TRUE(IsDrained("red"));
  EXPECT_TRUE(IsDrained("blue"));
  EXPECT_THAT(TenantsReached(), ElementsAre("blue", "red"));
}

TEST_F(QueueTest, WhatIsNeitherAcceptedNorDurableIs503) {
  queue_config_.min_free.value = ~uint64_t{0};
  OpenQueue();
  EXPECT_FALSE(queue_->Ready().ok());
  EXPECT_EQ(Write("sender", BodyOf({"red", "blue"})).status, 204);
  store_.SetMood("red", {.status = 503});
  const http::Response answer = Write("sender", BodyOf({"red", "blue"}));
  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(answer.headers.Get("Retry-After").has_value());
}

TEST_F(QueueTest, AStoreIsLeftAloneForAsLongAsItAsks) {
  store_.SetMood("red", {.status = 429, .retry_after = "3600"});
  ASSERT_EQ(Write("sender", BodyNamed("x")).status, 204);
  const auto retries = [&] {
    return Metric("ingest_gateway_queue_retries_total");
  };
  ASSERT_TRUE(WaitUntil([&] { return retries() == 1; }));
  store_.TakeSeen();
  // While blue is tried five times, red is not.
  store_.SetMood("blue", {.status = 503});
  ASSERT_EQ(Write("sender", BodyNamed("x", "blue")).status, 204);
  ASSERT_TRUE(WaitUntil([&] { return retries() >= 6; }));
  EXPECT_THAT(TenantsReached(), ::testing::Not(::testing::Contains("red")));
}

}  // namespace
}  // namespace insula::ingest_gateway
