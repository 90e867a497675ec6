// Deadlines, clients that leave, drain and the end.
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/http/server.h"
#include "libs/http/server_core.h"
#include "libs/http/test_support.h"

namespace insula::http {
namespace {

namespace asio = boost::asio;
using testing::AllOf;
using testing::HasSubstr;

class ServerLifetimeTest : public ServerFixture {};

TEST_F(ServerLifetimeTest, CancelsAHandlerThatTakesTooLong) {
  ServerOptions options;
  options.request_timeout = absl::Seconds(1);  // /fast has as long.
  Gate gate;
  std::atomic<int> calls = 0;
  Start(std::move(options), [&](Request request) {
    return ++calls == 1 ? gate.Wait() : Echo(std::move(request));
  });
  RawSocket socket(server_->port());
  socket.Send(Get("/slow"));
  EXPECT_EQ(StatusOf(socket.ReadMessage()), 504);
  EXPECT_TRUE(gate.left.get_future().get());
  // The connection and its coroutine are as good as before.
  socket.Send(Get("/fast"));
  EXPECT_EQ(BodyOf(socket.ReadMessage()), "GET /fast \n");
  EXPECT_EQ(Rejected("deadline"), 1);
}

TEST_F(ServerLifetimeTest, CancelsTheHandlerWhenTheClientLeaves) {
  Gate gate;
  Start([&gate](Request) { return gate.Wait(); });
  RawSocket socket(server_->port());
  socket.Send(Get("/"));
  gate.entered.get_future().wait();
  socket.Close();
  EXPECT_TRUE(gate.left.get_future().get());
  server_.reset();
  EXPECT_EQ(Rejected("client_gone"), 1);
}

TEST_F(ServerLifetimeTest, SeesTheClientLeaveBehindAPipelinedRequest) {
  Gate gate;
  Start([&gate](Request) { return gate.Wait(); });
  RawSocket socket(server_->port());
  socket.Send(Get("/"));
  gate.entered.get_future().wait();
  socket.Send(Get("/next"));
  socket.Close();
  EXPECT_TRUE(gate.left.get_future().get());
}

TEST_F(ServerLifetimeTest, EndsASlowHeader) {
  ServerOptions options;
  options.header_timeout = absl::Milliseconds(50);
  Start(std::move(options), Echo);
  EXPECT_EQ(StatusOf(Ask("GET / HTTP/1.1\r\nHost:")), 408);
  EXPECT_EQ(Rejected("timeout"), 1);
}

TEST_F(ServerLifetimeTest, EndsASlowBody) {
  ServerOptions options;
  options.body_timeout = absl::Milliseconds(50);
  Start(std::move(options), Echo);
  EXPECT_EQ(StatusOf(Ask(Post("Content-Length: 5\r\n", "hel"))), 408);
  EXPECT_EQ(StatusOf(Ask(Post("Transfer-Encoding: chunked\r\n", "5\r\nhel"))),
            408);
  EXPECT_EQ(Rejected("timeout"), 2);
}

TEST_F(ServerLifetimeTest, ClosesAnIdleConnection) {
  ServerOptions options;
  options.idle_timeout = absl::Milliseconds(500);
  Start(std::move(options), Echo);
  RawSocket socket(server_->port());
  socket.Send(Get("/"));
  EXPECT_EQ(StatusOf(socket.ReadMessage()), 200);
  EXPECT_TRUE(socket.AtEnd());
}

TEST_F(ServerLifetimeTest, CutsAClientThatDoesNotRead) {
  ServerOptions options;
  options.write_timeout = absl::Milliseconds(50);
  Start(std::move(options), [](Request) -> asio::awaitable<Response> {
    Response response;
    response.body = std::string(30 << 20, 'x');
    co_return response;
  });
  RawSocket socket(server_->port());
  socket.Send(Get("/"));
  EXPECT_THAT(socket.ReadThrough("\r\n\r\n"), HasSubstr("200 OK"));
  while (Rejected("timeout") == 0) std::this_thread::yield();
  EXPECT_LT(socket.ReadToEnd().size(), size_t{30} << 20);
}

TEST_F(ServerLifetimeTest, FurtherConnectionsWaitForAFreePlace) {
  ServerOptions options;
  options.max_connections = 1;
  Start(std::move(options), Echo);
  auto first = std::make_unique<RawSocket>(server_->port());
  first->Send(Get("/1"));
  EXPECT_EQ(StatusOf(first->ReadMessage()), 200);
  RawSocket second(server_->port());
  second.Send(Get("/2"));
  first->Send(Get("/1"));
  EXPECT_EQ(StatusOf(first->ReadMessage()), 200);
  EXPECT_EQ(metrics_
                .AddGauge("insula_http_server_connections", "Open connections.",
                          {{"server", "test"}})
                .Value(),
            1);
  first.reset();
  EXPECT_EQ(BodyOf(second.ReadMessage()), "GET /2 \n");
}

TEST_F(ServerLifetimeTest, IdleConnectionsMakeRoomWhenAllPlacesAreTaken) {
  Gate gate;
  ServerOptions options;
  options.max_connections = 3;
  Start(std::move(options), [&gate](Request request) {
    return request.path() == "/open" ? gate.Wait() : Echo(std::move(request));
  });
  RawSocket open(server_->port());
  open.Send(Get("/open"));
  gate.entered.get_future().wait();
  RawSocket longest(server_->port());
  longest.Send(Get("/1"));
  EXPECT_EQ(StatusOf(longest.ReadMessage()), 200);
  RawSocket idle(server_->port());
  idle.Send(Get("/2"));
  EXPECT_EQ(StatusOf(idle.ReadMessage()), 200);

  RawSocket next(server_->port());
  next.Send(Get("/3"));
  EXPECT_EQ(BodyOf(next.ReadMessage()), "GET /3 \n");
  EXPECT_TRUE(longest.AtEnd());
  EXPECT_GE(Rejected("crowded"), 1);
  gate.release.get_future().get()();
  EXPECT_EQ(StatusOf(open.ReadMessage()), 200);
}

TEST_F(ServerLifetimeTest, OneAddressTakesNoMorePlacesThanItMay) {
  ServerOptions options;
  options.max_connections_per_address = 2;
  Start(std::move(options), Echo);
  const auto served = [this](const char* from) {
    auto socket = std::make_unique<RawSocket>(server_->port(), from);
    socket->Send(Get("/"));
    return socket->ReadMessage().empty() ? nullptr : std::move(socket);
  };
  auto first = served("127.0.0.1");
  auto second = served("127.0.0.1");
  EXPECT_NE(first, nullptr);
  EXPECT_NE(second, nullptr);
  EXPECT_EQ(served("127.0.0.1"), nullptr);
  EXPECT_EQ(Rejected("address"), 1);
  // Others have places of their own.
  auto other = served("127.0.0.2");
  EXPECT_NE(other, nullptr);
  // The place is free again once the server has seen it end.
  second.reset();
  while (served("127.0.0.1") == nullptr) std::this_thread::yield();
}

TEST(AddressKeyTest, AHostIsOneHoweverItIsWritten) {
  const auto key = [](const char* address) {
    return AddressKeyOf(asio::ip::make_address(address));
  };
  EXPECT_EQ(key("192.0.2.7"), key("::ffff:192.0.2.7"));
  EXPECT_NE(key("192.0.2.7"), key("192.0.2.8"));
  EXPECT_EQ(key("2001:db8::1"), key("2001:db8::ffff:0:0:1"));
  EXPECT_NE(key("2001:db8::1"), key("2001:db8:0:1::1"));
  EXPECT_NE(key("::"), key("0.0.0.0"));
}

TEST_F(ServerLifetimeTest, DrainClosesIdleConnectionsAndFinishesOpenRequests) {
  Gate gate;
  Start([&gate](Request request) {
    return request.path() == "/idle" ? Echo(std::move(request)) : gate.Wait();
  });
  RawSocket idle(server_->port());
  idle.Send(Get("/idle"));
  EXPECT_EQ(StatusOf(idle.ReadMessage()), 200);
  RawSocket fresh(server_->port());
  RawSocket open(server_->port());
  open.Send(Get("/open"));
  gate.entered.get_future().wait();

  std::thread drain([this] { server_->Drain(absl::Minutes(1)); });
  EXPECT_TRUE(idle.AtEnd());
  EXPECT_TRUE(fresh.AtEnd());
  gate.release.get_future().get()();
  EXPECT_THAT(open.ReadMessage(), AllOf(HasSubstr("HTTP/1.1 200 "),
                                        HasSubstr("Connection: close\r\n")));
  EXPECT_TRUE(open.AtEnd());
  drain.join();
  EXPECT_FALSE(gate.left.get_future().get());
}

TEST_F(ServerLifetimeTest, DrainCutsWhatIsOpenAtItsTimeout) {
  Gate gate;
  Start([&gate](Request) { return gate.Wait(); });
  RawSocket open(server_->port());
  open.Send(Get("/open"));
  gate.entered.get_future().wait();
  server_->Drain(absl::Milliseconds(50));
  EXPECT_TRUE(gate.left.get_future().get());
  EXPECT_TRUE(open.AtEnd());
}

TEST_F(ServerLifetimeTest, DestructionEndsEverything) {
  Gate gate;
  Start([&gate](Request) { return gate.Wait(); });
  RawSocket open(server_->port());
  open.Send(Get("/open"));
  RawSocket half(server_->port());
  half.Send("GET / HT");
  gate.entered.get_future().wait();
  server_.reset();
  EXPECT_TRUE(gate.left.get_future().get());
  EXPECT_TRUE(open.AtEnd());
  half.ReadToEnd();
}

// Uses up all file descriptors but one while it lives.
class FileDescriptorShortage {
 public:
  FileDescriptorShortage() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit low = before_;
    low.rlim_cur = 256;
    setrlimit(RLIMIT_NOFILE, &low);
    for (int fd; (fd = dup(0)) >= 0;) taken_.push_back(fd);
    close(taken_.back());
    taken_.pop_back();
  }
  ~FileDescriptorShortage() {
    for (const int fd : taken_) close(fd);
    setrlimit(RLIMIT_NOFILE, &before_);
  }

 private:
  rlimit before_ = {};
  std::vector<int> taken_;
};

TEST_F(ServerLifetimeTest, WaitsForFileDescriptorsWithoutSpinning) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "UBSan itself needs file descriptors; see the tsan preset";
#endif
  Start(Echo);
  auto shortage = std::make_unique<FileDescriptorShortage>();
  RawSocket socket(server_->port());
  const absl::Time begin = absl::Now();
  while (Rejected("accept") < 3) std::this_thread::yield();
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(150));
  shortage.reset();
  socket.Send(Get("/"));
  EXPECT_EQ(BodyOf(socket.ReadMessage()), "GET / \n");
}

}  // namespace
}  // namespace insula::http
