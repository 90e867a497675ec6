#include "services/federation_pusher/gate.h"

#include <gmock/gmock.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <vector>

namespace insula::federation_pusher {
namespace {

namespace asio = boost::asio;
using testing::ElementsAre;
using testing::Eq;
using testing::IsEmpty;
using testing::IsNull;
using testing::Pointee;

// One thread, so the context itself is a strand, and poll() runs all that can.
class GateTest : public testing::Test {
 protected:
  // Number `who` enters, and stays till Leave(who).
  void Enter(int who) {
    asio::co_spawn(
        context_, Visit(this, who),
        asio::bind_cancellation_slot(signals_[who].slot(), asio::detached));
    Poll();
  }
  void Leave(int who) {
    exits_[who].Set(true);
    Poll();
  }
  void Cancel(int who) {
    signals_[who].emit(asio::cancellation_type::terminal);
    Poll();
  }
  void Poll() {
    context_.restart();
    context_.poll();
  }

  static asio::awaitable<void> Visit(GateTest* self, int who) {
    co_await asio::this_coro::throw_if_cancelled(false);
    const Gate::Place place = co_await self->gate_.Enter();
    if (!place) {
      self->turned_away_.push_back(who);
      co_return;
    }
    self->inside_.push_back(who);
    co_await self->exits_[who].Wait();
    std::erase(self->inside_, who);
  }

  asio::io_context context_;
  Gate gate_{2};
  OneShot<bool> exits_[6];
  asio::cancellation_signal signals_[6];
  std::vector<int> inside_;
  std::vector<int> turned_away_;
};

TEST_F(GateTest, LetsInSoManyAndTheOthersInTheirOrder) {
  for (int who = 0; who < 4; ++who) Enter(who);
  EXPECT_THAT(inside_, ElementsAre(0, 1));
  Leave(1);
  EXPECT_THAT(inside_, ElementsAre(0, 2));
  Leave(0);
  EXPECT_THAT(inside_, ElementsAre(2, 3));
  Leave(2);
  Enter(4);
  EXPECT_THAT(inside_, ElementsAre(3, 4));
  for (int who : {3, 4}) Leave(who);
}

TEST_F(GateTest, WhoGivesUpLosesNobodysTurn) {
  for (int who = 0; who < 4; ++who) Enter(who);
  Cancel(2);
  EXPECT_THAT(turned_away_, ElementsAre(2));
  Leave(0);
  EXPECT_THAT(inside_, ElementsAre(1, 3));
  for (int who : {1, 3}) Leave(who);
  for (int who : {4, 5}) Enter(who);
  EXPECT_THAT(inside_, ElementsAre(4, 5));
  for (int who : {4, 5}) Leave(who);
}

TEST_F(GateTest, APlaceThatComesWithTheCancellationIsNotLost) {
  for (int who = 0; who < 3; ++who) Enter(who);
  // Both before 2 can run.
  exits_[0].Set(true);
  signals_[2].emit(asio::cancellation_type::terminal);
  Poll();
  for (int who : {1, 2}) Leave(who);
  for (int who : {3, 4}) Enter(who);
  EXPECT_THAT(inside_, ElementsAre(3, 4));
  for (int who : {3, 4}) Leave(who);
}

class OneShotTest : public testing::Test {
 protected:
  static asio::awaitable<void> WaitFor(OneShot<int>* shot,
                                       std::vector<const int*>* got) {
    got->push_back(co_await shot->Wait());
  }

  asio::io_context context_;
  OneShot<int> shot_;
  std::vector<const int*> got_;
};

TEST_F(OneShotTest, AllWhoWaitGetTheFirstValue) {
  for (int i = 0; i < 2; ++i) {
    asio::co_spawn(context_, WaitFor(&shot_, &got_), asio::detached);
  }
  context_.poll();
  EXPECT_THAT(got_, IsEmpty());
  shot_.Set(7);
  shot_.Set(8);
  context_.run();
  EXPECT_THAT(got_, ElementsAre(Pointee(7), Pointee(7)));
}

TEST_F(OneShotTest, WhoComesLateDoesNotWait) {
  shot_.Set(7);
  asio::co_spawn(context_, WaitFor(&shot_, &got_), asio::detached);
  context_.run();
  EXPECT_THAT(got_, ElementsAre(Pointee(7)));
}

TEST_F(OneShotTest, CancellingEndsTheWaitAlone) {
  asio::cancellation_signal signal;
  asio::co_spawn(context_, WaitFor(&shot_, &got_),
                 asio::bind_cancellation_slot(signal.slot(), asio::detached));
  context_.poll();
  signal.emit(asio::cancellation_type::terminal);
  context_.run();
  EXPECT_THAT(got_, ElementsAre(IsNull()));
  shot_.Set(7);
}

}  // namespace
}  // namespace insula::federation_pusher
