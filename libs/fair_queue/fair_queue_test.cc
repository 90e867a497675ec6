#include "libs/fair_queue/fair_queue.h"

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/metrics/metrics.h"
#include "libs/status/status_matchers.h"

namespace insula::fair_queue {
namespace {

namespace asio = boost::asio;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Le;
using Code = absl::StatusCode;

constexpr TenantLimits kLimits{.max_concurrent = 10, .max_queued = 10};

class FairQueueTest : public ::testing::Test {
 protected:
  struct Call {
    asio::cancellation_signal cancel;
    std::optional<absl::StatusOr<FairQueue::Place>> place;

    bool runs() const { return place.has_value() && place->ok(); }
    Code code() const {
      return place.has_value() ? place->status().code() : Code::kUnknown;
    }
  };

  std::shared_ptr<Call> Enter(const std::string& tenant,
                              TenantLimits limits = kLimits,
                              absl::Time deadline = absl::InfiniteFuture()) {
    auto call = std::make_shared<Call>();
    asio::co_spawn(asio::make_strand(context_),
                   queue_->Enter(tenant, limits, 1, deadline),
                   asio::bind_cancellation_slot(
                       call->cancel.slot(),
                       [call](std::exception_ptr failed,
                              absl::StatusOr<FairQueue::Place> place) {
                         if (failed) std::rethrow_exception(failed);
                         call->place.emplace(std::move(place));
                       }));
    Poll();
    return call;
  }
  void Poll() {
    context_.restart();
    context_.poll();
  }
  double Refused(const std::string& reason) {
    return metrics_
        .AddCounter("insula_fair_queue_refused_total",
                    "Requests that got no place: too many of the tenant or of "
                    "all waited, or it took too long, or the caller gave up.",
                    {{"queue", "queries"}, {"reason", reason}})
        .Value();
  }

  metrics::Registry metrics_;
  asio::io_context context_;
  std::optional<FairQueue> queue_{
      std::in_place,
      FairQueue::Options{.name = "queries",
                         .limits = {.max_concurrent = 1, .max_queued = 3}},
      &metrics_};
};

TEST_F(FairQueueTest, APlaceThatIsFreeCanBeHadWithoutWaiting) {
  std::optional<FairQueue::Place> first = queue_->TryEnter("a", kLimits, 1);
  ASSERT_TRUE(first.has_value());
  EXPECT_FALSE(queue_->TryEnter("b", kLimits, 1).has_value());
  const auto waits = Enter("b");
  EXPECT_FALSE(waits->place.has_value());
  first.reset();
  EXPECT_FALSE(queue_->TryEnter("c", kLimits, 1).has_value());
  Poll();
  EXPECT_TRUE(waits->runs());
}

TEST_F(FairQueueTest, APlaceThatIsGivenBackIsTheNextOnes) {
  const auto first = Enter("a");
  const auto second = Enter("b");
  EXPECT_TRUE(first->runs());
  EXPECT_FALSE(second->place.has_value());
  first->place.reset();
  Poll();
  EXPECT_TRUE(second->runs());
}

TEST_F(FairQueueTest, WhoGivesUpFreesItsPlaceAtOnce) {
  const auto first = Enter("a");
  const TenantLimits one{.max_concurrent = 1, .max_queued = 1};
  const auto second = Enter("a", one);
  EXPECT_THAT(Enter("a", one)->code(), Eq(Code::kResourceExhausted));
  second->cancel.emit(asio::cancellation_type::terminal);
  Poll();
  EXPECT_THAT(second->code(), Eq(Code::kCancelled));
  EXPECT_THAT(Refused("cancelled"), Eq(1));
  const auto third = Enter("a", one);  // There is room again.
  EXPECT_FALSE(third->place.has_value());
  first->place.reset();
  Poll();
  EXPECT_TRUE(third->runs());
}

TEST_F(FairQueueTest, ARefusalNamesTheLimit) {
  const auto first = Enter("a");
  const auto refused = Enter("a", {.max_concurrent = 7, .max_queued = 0});
  EXPECT_THAT(refused->code(), Eq(Code::kResourceExhausted));
  EXPECT_THAT(
      std::string(refused->place->status().message()),
      HasSubstr("0 requests of the tenant wait already (max_queued_queries)"));
  EXPECT_THAT(Refused("tenant_full"), Eq(1));
}

TEST_F(FairQueueTest, ADeadlineInTheQueueIsForLater) {
  const auto first = Enter("a");
  const auto late = Enter("b", kLimits, absl::Now() + absl::Milliseconds(10));
  const auto patient = Enter("c");
  while (!late->place.has_value()) context_.run_one();
  EXPECT_THAT(late->code(), Eq(Code::kUnavailable));
  EXPECT_THAT(Refused("deadline"), Eq(1));
  first->place.reset();
  Poll();
  EXPECT_TRUE(patient->runs());
}

TEST_F(FairQueueTest, WhoHasMostWaitingMakesRoom) {
  const auto first = Enter("x");
  const auto heavy1 = Enter("heavy");
  const auto heavy2 = Enter("heavy");
  const auto heavy3 = Enter("heavy");
  const auto light = Enter("light");
  EXPECT_THAT(heavy3->code(), Eq(Code::kResourceExhausted));
  EXPECT_THAT(Refused("full"), Eq(1));
  EXPECT_FALSE(light->place.has_value());
  EXPECT_FALSE(heavy2->place.has_value());
}

TEST_F(FairQueueTest, LimitsThatChangeReachThoseWhoWait) {
  queue_.emplace(
      FairQueue::Options{.name = "queries", .limits = {.max_concurrent = 5}},
      &metrics_);
  const TenantLimits one{.max_concurrent = 1, .max_queued = 5};
  const auto first = Enter("a", one);
  const auto second = Enter("a", one);
  EXPECT_FALSE(second->place.has_value());
  queue_->SetLimits("a", {.max_concurrent = 2, .max_queued = 5});
  Poll();
  EXPECT_TRUE(second->runs());
}

TEST_F(FairQueueTest, PlacesMayOutliveTheQueue) {
  const auto first = Enter("a");
  const auto second = Enter("b");
  queue_.reset();
  first->place.reset();
  Poll();
  EXPECT_TRUE(second->runs());
}

// One of many who come and go on several threads.
asio::awaitable<void> ComeAndGo(FairQueue* queue, int who,
                                std::atomic<int>* inside,
                                std::atomic<int>* most) {
  const TenantLimits two{.max_concurrent = 2, .max_queued = 1000};
  for (int i = 0; i < 200; ++i) {
    const auto place = co_await queue->Enter(absl::StrCat(who % 7), two, who,
                                             absl::InfiniteFuture());
    EXPECT_TRUE(place.ok());
    const int now = inside->fetch_add(1) + 1;
    int seen = most->load();
    while (now > seen && !most->compare_exchange_weak(seen, now)) {
    }
    inside->fetch_sub(1);
  }
}

TEST(FairQueueThreadsTest, ManyComeAndGoOnManyThreads) {
  metrics::Registry metrics;
  asio::thread_pool pool(4);
  FairQueue queue({.name = "queries", .limits = {.max_concurrent = 3}},
                  &metrics);
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  std::atomic<int> ended = 0;
  for (int who = 0; who < 30; ++who) {
    asio::co_spawn(asio::make_strand(pool),
                   ComeAndGo(&queue, who, &inside, &most),
                   [&ended](std::exception_ptr failed) {
                     if (!failed) ++ended;
                   });
  }
  pool.join();
  EXPECT_THAT(ended, Eq(30));
  EXPECT_THAT(most, Le(3));
}

}  // namespace
}  // namespace insula::fair_queue
