#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <vector>

#include "libs/rpc/echo_fixture.h"
#include "libs/rpc/grpc_status.h"

namespace insula::rpc {
namespace {

using ::testing::Eq;
using ::testing::HasSubstr;

TEST(GrpcStatusTest, EveryCodeSurvivesTheRoundTrip) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code),
                              code == 0 ? "" : "what and cure");
    EXPECT_THAT(FromGrpc(ToGrpc(status)), Eq(status));
  }
}

TEST(GrpcStatusTest, CutsLongMessages) {
  const absl::Status status = absl::InternalError(std::string(1 << 20, 'x'));
  EXPECT_THAT(ToGrpc(status).error_message().size(), Eq(4096u));
}

using UnaryTest = EchoTest;

TEST_F(UnaryTest, ReturnsTheResponse) {
  const auto response = Await(client_->Unary("acme", absl::Seconds(10)));
  ASSERT_THAT(response, IsOk());
  EXPECT_THAT(response->text(), Eq("acme"));
}

TEST_F(UnaryTest, ReturnsTheStatusOfTheHandler) {
  EXPECT_THAT(Await(client_->Unary("fail", absl::Seconds(10))).status(),
              Eq(absl::NotFoundError("no such thing")));
}

TEST_F(UnaryTest, AThrowingHandlerIsAnInternalError) {
  EXPECT_THAT(Await(client_->Unary("throw", absl::Seconds(10))),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("server's log")));
}

TEST_F(UnaryTest, TheDeadlineEndsTheCallAndTheHandler) {
  EXPECT_THAT(Await(client_->Unary("wait", absl::Milliseconds(200))),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_TRUE(service_.left.WaitFor(service_.entered.value()));
}

TEST_F(UnaryTest, CancellingTheCoroutineReachesTheHandler) {
  auto strand = asio::make_strand(pool_);
  asio::cancellation_signal signal;
  std::future<absl::StatusOr<EchoMessage>> result = asio::co_spawn(
      strand, client_->Unary("wait", absl::Seconds(60)),
      asio::bind_cancellation_slot(signal.slot(), asio::use_future));
  ASSERT_TRUE(service_.entered.WaitFor(1));

  asio::post(strand, [&] { signal.emit(asio::cancellation_type::terminal); });

  EXPECT_THAT(result.get(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_TRUE(service_.left.WaitFor(1));
}

TEST_F(UnaryTest, ServesManyCallsAtOnce) {
  std::vector<std::future<absl::StatusOr<EchoMessage>>> calls;
  for (int i = 0; i < 500; ++i) {
    calls.push_back(Spawn(client_->Unary(absl::StrCat(i), absl::Seconds(30))));
  }
  for (int i = 0; i < 500; ++i) {
    const auto response = calls[i].get();
    ASSERT_THAT(response, IsOk());
    EXPECT_THAT(response->text(), Eq(absl::StrCat(i)));
  }
}

TEST_F(UnaryTest, RefusesMessagesAboveTheLimit) {
  EXPECT_THAT(
      Await(client_->Unary(std::string(5 << 20, 'x'), absl::Seconds(30))),
      StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(UnaryTest, DrainLetsAnOpenCallFinishUntilTheTimeout) {
  auto open = Spawn(client_->Unary("wait", absl::Seconds(60)));
  ASSERT_TRUE(service_.entered.WaitFor(1));

  server_->Drain(absl::Milliseconds(100));

  EXPECT_THAT(service_.left.value(), Eq(1));
  EXPECT_FALSE(open.get().ok());
  EXPECT_THAT(Await(client_->Unary("acme", absl::Seconds(5))),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(UnaryTest, AUnixSocketIsServed) {
  const std::string path = absl::StrCat(::testing::TempDir(), "rpc.", getpid());
  ServerOptions options;
  options.listen_address = absl::StrCat("unix:", path);
  EchoService other(pool_.get_executor());
  auto server = Server::Start(options, {&other});
  ASSERT_THAT(server, IsOk());
  EXPECT_THAT((*server)->address(), Eq(options.listen_address));
  EchoClient client(grpc::CreateChannel((*server)->address(),
                                        grpc::InsecureChannelCredentials()));
  EXPECT_THAT(Await(client.Unary("acme", absl::Seconds(10))), IsOk());
  (*server)->Drain(absl::Seconds(5));
}

TEST_F(UnaryTest, AnAddressInUseIsUnavailable) {
  ServerOptions options;
  options.listen_address = server_->address();
  EchoService other(pool_.get_executor());
  EXPECT_THAT(
      Server::Start(options, {&other}),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr(server_->address())));
}

}  // namespace
}  // namespace insula::rpc
