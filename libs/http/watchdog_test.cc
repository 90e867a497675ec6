#include "libs/http/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "libs/http/alarms.h"
#include "libs/sync/strand.h"

namespace insula::http {
namespace {

using ::testing::Eq;
using ::testing::Ge;
using ::testing::Lt;

struct Owner {
  std::optional<Watchdog> watchdog;
  int rung = 0;
};

class WatchdogTest : public ::testing::Test {
 protected:
  std::shared_ptr<Owner> NewOwner() {
    auto owner = std::make_shared<Owner>();
    owner->watchdog.emplace(alarms_, sync::MakeStrand(context_.get_executor()),
                            owner, [each = owner.get()] { ++each->rung; });
    return owner;
  }
  // Lets the watchdogs work until `done` or for as long as they have work.
  template <typename Predicate>
  void RunUntil(Predicate done) {
    context_.restart();
    while (!done() && context_.run_one_for(std::chrono::seconds(20)) > 0) {
    }
  }
  void RunToTheEnd() {
    RunUntil([] { return false; });
  }

  boost::asio::io_context context_;
  std::shared_ptr<Alarms> alarms_ =
      std::make_shared<Alarms>(context_.get_executor());
};

TEST_F(WatchdogTest, RingsAtTheDeadlineAndAgain) {
  const auto owner = NewOwner();
  const auto start = Watchdog::Clock::now();
  owner->watchdog->Set(absl::Milliseconds(30));
  RunUntil([&] { return owner->rung == 1; });
  EXPECT_THAT(Watchdog::Clock::now() - start,
              Ge(std::chrono::milliseconds(30)));
  EXPECT_TRUE(owner->watchdog->expired());

  RunUntil([&] { return owner->rung == 3; });
  EXPECT_THAT(owner->rung, Eq(3));

  owner->watchdog->Stop();
  EXPECT_FALSE(owner->watchdog->expired());
  RunToTheEnd();
  EXPECT_THAT(owner->rung, Eq(3));
}

TEST_F(WatchdogTest, ADeadlineThatMovesBackDoesNotRingEarly) {
  const auto owner = NewOwner();
  owner->watchdog->Set(absl::Milliseconds(20));
  const auto start = Watchdog::Clock::now();
  owner->watchdog->Set(absl::Milliseconds(80));
  RunUntil([&] { return owner->rung == 1; });
  EXPECT_THAT(Watchdog::Clock::now() - start,
              Ge(std::chrono::milliseconds(80)));
}

TEST_F(WatchdogTest, ADeadlineThatMovesForwardRingsInTime) {
  const auto owner = NewOwner();
  owner->watchdog->Set(absl::Hours(1));
  context_.poll();  // The timer is set.
  owner->watchdog->Set(absl::Milliseconds(10));
  RunUntil([&] { return owner->rung == 1; });
  EXPECT_THAT(owner->rung, Eq(1));
}

TEST_F(WatchdogTest, TheFirstOfManyRingsFirst) {
  const auto late = NewOwner();
  const auto soon = NewOwner();
  const auto never = NewOwner();
  late->watchdog->Set(absl::Milliseconds(60));
  soon->watchdog->Set(absl::Milliseconds(20));
  never->watchdog->Set(absl::Hours(1));
  RunUntil([&] { return soon->rung == 1; });
  EXPECT_THAT(late->rung, Eq(0));
  RunUntil([&] { return late->rung == 1; });
  EXPECT_THAT(late->rung, Eq(1));
  EXPECT_THAT(never->rung, Eq(0));
}

TEST_F(WatchdogTest, NothingRingsOnceTheOwnerIsGone) {
  auto owner = NewOwner();
  owner->watchdog->Set(absl::ZeroDuration());
  context_.run_one();  // The alarm is on its way.
  owner = nullptr;
  RunToTheEnd();  // Touches nothing that is gone, which sanitizers would see.
}

// An executor ends soon after the last deadline was given up, however far that
// was.
TEST_F(WatchdogTest, DeadlinesGivenUpHoldNothingUp) {
  auto owner = NewOwner();
  owner->watchdog->Set(absl::Hours(1));
  context_.poll();  // The timer is set.
  owner = nullptr;
  const auto start = Watchdog::Clock::now();
  RunToTheEnd();
  EXPECT_THAT(Watchdog::Clock::now() - start, Lt(std::chrono::seconds(10)));
}

}  // namespace
}  // namespace insula::http
