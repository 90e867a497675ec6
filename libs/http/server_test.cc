#include "libs/http/server.h"

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "libs/http/test_support.h"
#include "libs/status/status_matchers.h"

namespace insula::http {
namespace {

namespace asio = boost::asio;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

class ServerTest : public ServerFixture {};

TEST_F(ServerTest, AnswersARequest) {
  Start(Echo);
  RawSocket socket(server_->port());
  socket.Send(Get("/a?b=c"));
  EXPECT_THAT(
      socket.ReadMessage(),
      MatchesRegex("HTTP/1\\.1 200 OK\r\nDate: [A-Z][a-z][a-z], [^\r]* GMT\r\n"
                   "Content-Type: text/plain; charset=utf-8\r\n"
                   "X-Request-Id: [0-9a-f]{16}\r\n"
                   "Content-Length: 12\r\n\r\nGET /a\\?b=c \n"));
}

TEST_F(ServerTest, ReportsItsAddress) {
  Start(Echo);
  EXPECT_EQ(server_->address(), absl::StrCat("127.0.0.1:", server_->port()));
}

TEST_F(ServerTest, RefusesAnAddressInUseAndMalformedOnes) {
  Start(Echo);
  const auto start = [this](const std::string& address) {
    ServerOptions options;
    options.listen_address = address;
    return Server::Start(std::move(options), pool_.get_executor(), Echo,
                         &metrics_)
        .status();
  };
  EXPECT_THAT(
      start(server_->address()),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr(server_->address())));
  for (const char* address : {"", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536",
                              ":80", "::1:80", "127.0.0.1:-1"}) {
    EXPECT_THAT(start(address), StatusIs(absl::StatusCode::kInvalidArgument))
        << address;
  }
}

TEST_F(ServerTest, KeepsTheConnectionForFurtherRequests) {
  Start(Echo);
  RawSocket socket(server_->port());
  for (int i = 0; i < 3; ++i) {
    socket.Send(PostLength(absl::StrCat("body", i)));
    EXPECT_THAT(socket.ReadMessage(),
                AllOf(HasSubstr(absl::StrCat("POST /p body", i)),
                      Not(HasSubstr("Connection:"))));
  }
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  Start(Echo);
  RawSocket socket(server_->port());
  std::string requests;
  for (int i = 0; i < 20; ++i) {
    requests += i % 2 ? Get(absl::StrCat("/", i))
                      : PostLength(absl::StrCat("body-", i));
  }
  socket.Send(requests);
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(BodyOf(socket.ReadMessage()),
                i % 2 ? absl::StrCat("GET /", i, " \n")
                      : absl::StrCat("POST /p body-", i, "\n"));
  }
}

TEST_F(ServerTest, ClosesWhenAskedTo) {
  Start(Echo);
  EXPECT_THAT(Ask(Get("/", "Connection: x, Close\r\n") + Get("/2")),
              AllOf(HasSubstr("Connection: close\r\n"), Not(HasSubstr("/2"))));
}

TEST_F(ServerTest, ServesHttp10) {
  Start(Echo);
  EXPECT_THAT(Ask("GET /old HTTP/1.0\r\n\r\n"),
              AllOf(HasSubstr("Connection: close\r\n"), HasSubstr("GET /old")));
  RawSocket socket(server_->port());
  for (int i = 0; i < 2; ++i) {
    socket.Send("GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_THAT(socket.ReadMessage(), HasSubstr("Connection: keep-alive\r\n"));
  }
}

TEST_F(ServerTest, AcceptsAFullUrlAsTarget) {
  Start(Echo);
  RawSocket socket(server_->port());
  socket.Send(Get("http://a/path?q"));
  EXPECT_THAT(socket.ReadMessage(), HasSubstr("GET /path?q"));
}

TEST_F(ServerTest, TakesSaneRequestIdsAndMakesUpOthers) {
  Start([](Request request) -> asio::awaitable<Response> {
    Response response = TextResponse(200, request.id);
    response.headers.Add("X-Request-Id", "from the handler");
    co_return response;
  });
  RawSocket socket(server_->port());
  socket.Send(Get("/", "X-Request-Id: a.B_9-\r\n"));
  EXPECT_THAT(socket.ReadMessage(),
              AllOf(HasSubstr("X-Request-Id: a.B_9-\r\n"),
                    EndsWith("\r\n\r\na.B_9-\n"), Not(HasSubstr("handler"))));
  for (const std::string& bad : {std::string("a b"), std::string(65, 'x'),
                                 std::string(""), std::string("a\"")}) {
    socket.Send(Get("/", absl::StrCat("X-Request-Id: ", bad, "\r\n")));
    EXPECT_THAT(BodyOf(socket.ReadMessage()), MatchesRegex("[0-9a-f]{16}\n"));
  }
  socket.Send(Get("/", "X-Request-Id: a\r\nX-Request-Id: a\r\n"));
  EXPECT_THAT(BodyOf(socket.ReadMessage()), MatchesRegex("[0-9a-f]{16}\n"));
}

TEST_F(ServerTest, SetsHopByHopHeadersItself) {
  Start([](Request) -> asio::awaitable<Response> {
    Response response = TextResponse(200, "text");
    response.headers.Add("Connection", "upgrade");
    response.headers.Add("Content-Length", "99");
    response.headers.Add("Transfer-Encoding", "chunked");
    response.headers.Add("X-Mine", "stays");
    co_return response;
  });
  RawSocket socket(server_->port());
  socket.Send(Get("/"));
  const std::string answer = socket.ReadMessage();
  EXPECT_THAT(answer,
              AllOf(HasSubstr("Content-Length: 5\r\n"), HasSubstr("X-Mine: "),
                    Not(HasSubstr("upgrade")), Not(HasSubstr("Length: 99")),
                    Not(HasSubstr("chunked")), Not(HasSubstr("Server:"))));
}

TEST_F(ServerTest, DoesNotSendWhatAHandlerMustNotAnswer) {
  Start([](Request request) -> asio::awaitable<Response> {
    Response response = TextResponse(200, "text");
    if (request.path() == "/value") {
      response.headers.Add("X", "a\r\nInjected: b");
    } else if (request.path() == "/name") {
      response.headers.Add("X y", "a");
    } else {
      response.status = 101;
    }
    co_return response;
  });
  RawSocket socket(server_->port());
  for (const char* path : {"/value", "/name", "/status"}) {
    socket.Send(Get(path));
    EXPECT_THAT(socket.ReadMessage(),
                AllOf(HasSubstr("HTTP/1.1 500 "), Not(HasSubstr("Injected"))));
  }
  EXPECT_EQ(Rejected("handler_error"), 3);
}

TEST_F(ServerTest, AnswersToHeadHaveNoBody) {
  Start(Echo);
  RawSocket socket(server_->port());
  socket.Send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n" + Get("/y"));
  EXPECT_THAT(socket.ReadThrough("\r\n\r\n"),
              HasSubstr("Content-Length: 9\r\n"));
  EXPECT_EQ(BodyOf(socket.ReadMessage()), "GET /y \n");
}

TEST_F(ServerTest, NoContentHasNoLength) {
  Start([](Request) -> asio::awaitable<Response> {
    Response response;
    response.status = 204;
    co_return response;
  });
  RawSocket socket(server_->port());
  socket.Send(Get("/"));
  EXPECT_THAT(socket.ReadThrough("\r\n\r\n"), Not(HasSubstr("Content-Length")));
  socket.Send(Get("/"));
  EXPECT_EQ(StatusOf(socket.ReadThrough("\r\n\r\n")), 204);
}

asio::awaitable<Response> Throw(Request request) {
  if (request.path() == "/early") std::string("early").at(9);
  const auto executor = co_await asio::this_coro::executor;
  co_await asio::post(executor, asio::use_awaitable);
  std::string("late").at(9);
  co_return Response();
}

TEST_F(ServerTest, AThrowingHandlerIsAnInternalError) {
  Start(Throw);
  RawSocket socket(server_->port());
  for (const char* path : {"/early", "/late"}) {
    socket.Send(Get(path));
    EXPECT_THAT(socket.ReadMessage(),
                AllOf(HasSubstr("HTTP/1.1 500 "), Not(HasSubstr("range"))));
  }
  EXPECT_EQ(Rejected("handler_error"), 2);
}

TEST_F(ServerTest, GivesTheHandlerPeerAndDeadline) {
  ServerOptions options;
  options.request_timeout = absl::Minutes(7);
  Start(std::move(options), [](Request request) -> asio::awaitable<Response> {
    EXPECT_EQ(request.peer.address, "127.0.0.1");
    EXPECT_FALSE(request.peer.tls);
    EXPECT_LT(
        absl::AbsDuration(request.deadline - absl::Now() - absl::Minutes(7)),
        absl::Minutes(1));
    co_return TextResponse(200, "ok");
  });
  RawSocket socket(server_->port());
  socket.Send(Get("/"));
  EXPECT_EQ(StatusOf(socket.ReadMessage()), 200);
}

TEST_F(ServerTest, CountsRequestsByCode) {
  Start([](Request request) -> asio::awaitable<Response> {
    co_return TextResponse(request.path() == "/a" ? 200 : 404, "");
  });
  RawSocket socket(server_->port());
  for (const char* path : {"/a", "/b", "/a"}) {
    socket.Send(Get(path));
    socket.ReadMessage();
  }
  server_.reset();
  EXPECT_THAT(metrics_.Expose(),
              AllOf(HasSubstr(R"(_requests_total{code="200",server="test"} 2)"),
                    HasSubstr(R"(_requests_total{code="404",server="test"} 1)"),
                    HasSubstr(R"(_request_seconds_count{server="test"} 3)"),
                    HasSubstr(R"(_connections{server="test"} 0)")));
}

// Which thread it runs on.
asio::awaitable<Response> TellThread(Request) {
  std::ostringstream text;
  text << std::this_thread::get_id();
  co_return TextResponse(200, text.str());
}

TEST_F(ServerTest, SpreadsConnectionsOverTheExecutorsTheyLiveOn) {
  asio::thread_pool one(1);
  asio::thread_pool other(1);
  ServerOptions options;
  options.max_connections = 2;
  options.connection_executors = {one.get_executor(), other.get_executor()};
  Start(std::move(options), TellThread);
  const auto thread_of = [](RawSocket* socket) {
    EXPECT_TRUE(socket->Send(Get("/")));
    return BodyOf(socket->ReadMessage());
  };
  auto first = std::make_unique<RawSocket>(server_->port());
  const std::string thread = thread_of(first.get());
  RawSocket second(server_->port());
  const std::string other_thread = thread_of(&second);
  EXPECT_NE(other_thread, thread);
  EXPECT_EQ(thread_of(first.get()), thread);
  EXPECT_EQ(thread_of(&second), other_thread);
  // There is most room where one has left, and none before.
  RawSocket third(server_->port());
  first = nullptr;
  EXPECT_EQ(thread_of(&third), thread);
  server_ = nullptr;
}

TEST_F(ServerTest, ServesManyConnectionsAtOnce) {
  Start(Echo);
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([this, c] {
      RawSocket socket(server_->port());
      for (int i = 0; i < 100; ++i) {
        const std::string body = absl::StrCat(c, "-", i);
        socket.Send(PostLength(body));
        EXPECT_EQ(BodyOf(socket.ReadMessage()), "POST /p " + body + "\n");
      }
    });
  }
  for (std::thread& client : clients) client.join();
}

}  // namespace
}  // namespace insula::http
