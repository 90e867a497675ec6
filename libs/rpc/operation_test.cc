#include "libs/rpc/operation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <optional>

namespace insula::rpc {
namespace {

namespace asio = boost::asio;
using ::testing::Eq;
using ::testing::Optional;

class OperationTest : public ::testing::Test {
 protected:
  OperationTest() { operation_.Begin(); }

  void StartWait(asio::cancellation_slot slot = asio::cancellation_slot()) {
    waited_ = std::nullopt;
    auto ended = [this](std::exception_ptr error, bool ok) {
      EXPECT_FALSE(error);
      waited_ = ok;
    };
    asio::co_spawn(context_, operation_.Wait(),
                   asio::bind_cancellation_slot(slot, ended));
    RunAll();
  }
  // Runs what is ready.
  void RunAll() {
    context_.restart();
    context_.poll();
  }

  asio::io_context context_;
  Operation operation_;
  std::optional<bool> waited_;  // What the last wait returned.
};

TEST_F(OperationTest, TheEndReachesWhoWaits) {
  StartWait();
  EXPECT_THAT(waited_, Eq(std::nullopt));
  operation_.Complete(true);
  RunAll();
  EXPECT_THAT(waited_, Optional(true));
  EXPECT_TRUE(operation_.Begin());
}

TEST_F(OperationTest, ACancelledWaitLeavesTheOperationOnItsWay) {
  asio::cancellation_signal signal;
  StartWait(signal.slot());
  signal.emit(asio::cancellation_type::terminal);
  RunAll();
  EXPECT_THAT(waited_, Optional(false));
  EXPECT_FALSE(operation_.Begin());

  operation_.Complete(true);
  StartWait();
  EXPECT_THAT(waited_, Optional(true));
}

TEST_F(OperationTest, AWaitCancelledAtTheEndLeavesTheEndToTheNext) {
  asio::cancellation_signal signal;
  StartWait(signal.slot());
  asio::post(context_, [&] {
    operation_.Complete(true);  // Goes to who waits by another turn.
    signal.emit(asio::cancellation_type::terminal);
  });
  RunAll();
  EXPECT_THAT(waited_, Optional(false));
  EXPECT_FALSE(operation_.Begin());

  StartWait();
  EXPECT_THAT(waited_, Optional(true));
  EXPECT_TRUE(operation_.Begin());
}

}  // namespace
}  // namespace insula::rpc
