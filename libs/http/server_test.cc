#include "libs/http/server.h"

#include <gmock/gmock.h>
#include <zlib.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>
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

std::string Post(absl::string_view headers, absl::string_view body) {
  return absl::StrCat("POST /p HTTP/1.1\r\nHost: a\r\n", headers, "\r\n", body);
}

std::string PostLength(absl::string_view body, absl::string_view headers = "") {
  return Post(absl::StrCat("Content-Length: ", body.size(), "\r\n", headers),
              body);
}

std::string GzipText(absl::string_view text) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY),
            Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 100, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string GunzipText(absl::string_view text) {
  z_stream stream = {};
  EXPECT_EQ(inflateInit2(&stream, 31), Z_OK);
  std::string out(10 << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

// A handler that waits until it is cancelled or released.
struct Gate {
  std::promise<void> entered;
  std::promise<bool> left;  // Whether it was cancelled.
  std::promise<std::function<void()>> release;

  asio::awaitable<Response> Wait() {
    auto timer = std::make_shared<asio::steady_timer>(
        co_await asio::this_coro::executor,
        asio::steady_timer::time_point::max());
    auto released = std::make_shared<bool>(false);
    release.set_value([timer, released] {
      asio::post(timer->get_executor(), [timer, released] {
        *released = true;
        timer->cancel();
      });
    });
    entered.set_value();
    co_await timer->async_wait(asio::as_tuple(asio::use_awaitable));
    left.set_value(!*released);
    co_return TextResponse(200, "released");
  }
};

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

TEST_F(ServerTest, ReadsBodiesOfAllSizes) {
  Start(Echo);
  RawSocket socket(server_->port());
  for (const size_t size :
       {0, 1, 8191, 8192, 100'000, 262'144, 262'145, 3'000'000}) {
    std::string body(size, 'x');
    for (size_t i = 0; i < size; ++i) body[i] = static_cast<char>('a' + i % 23);
    ASSERT_TRUE(socket.Send(PostLength(body)));
    EXPECT_TRUE(BodyOf(socket.ReadMessage()) == "POST /p " + body + "\n")
        << size;
  }
}

TEST_F(ServerTest, ReadsABodyThatComesByteByByte) {
  Start(Echo);
  RawSocket socket(server_->port());
  for (const char c : PostLength("hello") + Get("/next")) {
    ASSERT_TRUE(socket.Send(absl::string_view(&c, 1)));
  }
  EXPECT_EQ(BodyOf(socket.ReadMessage()), "POST /p hello\n");
  EXPECT_EQ(BodyOf(socket.ReadMessage()), "GET /next \n");
}

TEST_F(ServerTest, ReadsChunkedBodies) {
  Start(Echo);
  RawSocket socket(server_->port());
  const std::string large(0x12345, 'y');
  const std::string request =
      Post("Transfer-Encoding: chunked\r\n",
           absl::StrCat("5\r\nhello\r\n1;ext=\"v\"\r\n,\r\n12345\r\n", large,
                        "\r\n000\r\nTrailer: x\r\n\r\n"));
  socket.Send(request + Get("/next"));
  EXPECT_TRUE(BodyOf(socket.ReadMessage()) == "POST /p hello," + large + "\n");
  EXPECT_EQ(BodyOf(socket.ReadMessage()), "GET /next \n");
}

TEST_F(ServerTest, ReadsAChunkedBodyThatComesByteByByte) {
  Start(Echo);
  RawSocket socket(server_->port());
  for (const char c :
       Post("Transfer-Encoding: chunked\r\n", "a\r\n0123456789\r\n0\r\n\r\n")) {
    ASSERT_TRUE(socket.Send(absl::string_view(&c, 1)));
  }
  EXPECT_EQ(BodyOf(socket.ReadMessage()), "POST /p 0123456789\n");
}

TEST_F(ServerTest, SaysContinueToWhoWaitsForIt) {
  Start(Echo);
  RawSocket socket(server_->port());
  socket.Send(Post("Content-Length: 5\r\nExpect: 100-Continue\r\n", ""));
  EXPECT_EQ(socket.ReadThrough("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  socket.Send("hello");
  EXPECT_EQ(BodyOf(socket.ReadMessage()), "POST /p hello\n");
}

TEST_F(ServerTest, RefusesALargeBodyBeforeItIsSent) {
  Start(Echo);
  RawSocket socket(server_->port());
  socket.Send(
      Post("Content-Length: 99999999999\r\nExpect: 100-continue\r\n", ""));
  const std::string answer = socket.ReadMessage();
  EXPECT_EQ(StatusOf(answer), 413);
  EXPECT_EQ(Rejected("body_limit"), 1);
}

TEST_F(ServerTest, AClientThatSendsALargeBodyAllTheSameGetsTheAnswer) {
  Start(Echo);
  RawSocket socket(server_->port());
  // More than the socket buffers hold, and without looking at the answer.
  socket.Send(Post("Content-Length: 99999999999\r\n", ""));
  const std::string piece(1 << 20, 'x');
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(socket.Send(piece));
  EXPECT_EQ(StatusOf(socket.ReadMessage()), 413);
}

TEST_F(ServerTest, DecodesGzip) {
  Start([](Request request) -> asio::awaitable<Response> {
    EXPECT_EQ(request.headers.Count("content-encoding"), 0u);
    co_return TextResponse(200, request.body.view());
  });
  std::string body;
  for (int i = 0; i < 300'000; ++i) body += static_cast<char>('a' + i % 7);
  RawSocket socket(server_->port());
  socket.Send(PostLength(GzipText(body), "Content-Encoding: gzip\r\n"));
  EXPECT_TRUE(BodyOf(socket.ReadMessage()) == body + "\n");
  // Members one after the other are one body.
  socket.Send(PostLength(GzipText("one,") + GzipText("two"),
                         "Content-Encoding: gzip\r\n"));
  EXPECT_EQ(BodyOf(socket.ReadMessage()), "one,two\n");
}

TEST_F(ServerTest, LeavesOtherEncodingsToTheHandler) {
  Start([](Request request) -> asio::awaitable<Response> {
    co_return TextResponse(
        200, absl::StrCat(*request.headers.Get("content-encoding"), " ",
                          request.body.view()));
  });
  RawSocket socket(server_->port());
  socket.Send(PostLength("abc", "Content-Encoding: snappy\r\n"));
  EXPECT_EQ(BodyOf(socket.ReadMessage()), "snappy abc\n");
}

TEST_F(ServerTest, RefusesAGzipBomb) {
  ServerOptions options;
  options.max_body_bytes = 1 << 20;
  Start(std::move(options), Echo);
  const std::string bomb = GzipText(std::string((1 << 20) + 1, '\0'));
  ASSERT_LT(bomb.size(), 10'000u);
  EXPECT_EQ(StatusOf(Ask(PostLength(bomb, "Content-Encoding: gzip\r\n"))), 413);
  // The limit itself is fine.
  const std::string most = GzipText(std::string(1 << 20, '\0'));
  RawSocket socket(server_->port());
  socket.Send(PostLength(most, "Content-Encoding: gzip\r\n"));
  EXPECT_EQ(StatusOf(socket.ReadMessage()), 200);
}

TEST_F(ServerTest, RefusesMalformedGzip) {
  Start(Echo);
  const std::string gzip = GzipText("some text that is long enough to be cut");
  for (const std::string& body :
       {std::string("no gzip"), gzip.substr(0, gzip.size() - 1), gzip + "x"}) {
    EXPECT_EQ(StatusOf(Ask(PostLength(body, "Content-Encoding: gzip\r\n"))),
              400);
  }
  EXPECT_EQ(Rejected("body"), 3);
}

TEST_F(ServerTest, EncodesLargeAnswersForThoseWhoAccept) {
  const std::string text(3'000'000, 'z');
  Start([&text](Request request) -> asio::awaitable<Response> {
    const bool large = request.path() == "/large";
    co_return TextResponse(200, large ? text : text.substr(0, 1000));
  });
  RawSocket socket(server_->port());
  socket.Send(Get("/large", "Accept-Encoding: br, gzip;q=0.5\r\n"));
  const std::string answer = socket.ReadMessage();
  EXPECT_THAT(answer, AllOf(HasSubstr("Content-Encoding: gzip\r\n"),
                            HasSubstr("Vary: Accept-Encoding\r\n")));
  EXPECT_TRUE(GunzipText(BodyOf(answer)) == text + "\n");
  for (const char* refusal :
       {"", "Accept-Encoding: br\r\n", "Accept-Encoding: gzip;q=0, *\r\n"}) {
    socket.Send(Get("/large", refusal));
    EXPECT_THAT(socket.ReadMessage(), Not(HasSubstr("Content-Encoding")));
  }
  socket.Send(Get("/small", "Accept-Encoding: gzip\r\n"));
  EXPECT_THAT(socket.ReadMessage(), Not(HasSubstr("Content-Encoding")));
}

TEST_F(ServerTest, RefusesBodiesBeyondItsMemory) {
  ServerOptions options;
  options.max_buffered_bytes = 600'000;
  Gate gate;
  Start(std::move(options),
        [&gate](Request request) -> asio::awaitable<Response> {
          if (request.path() == "/small") return Echo(std::move(request));
          return gate.Wait();
        });
  RawSocket holder(server_->port());
  holder.Send(PostLength(std::string(500'000, 'x')));
  gate.entered.get_future().wait();
  EXPECT_THAT(Ask(PostLength(std::string(200'000, 'x'))),
              AllOf(HasSubstr("HTTP/1.1 503 "), HasSubstr("Retry-After: ")));
  EXPECT_EQ(Rejected("memory"), 1);
  gate.release.get_future().get()();
  EXPECT_EQ(StatusOf(holder.ReadMessage()), 200);
  // What was held is free again.
  RawSocket again(server_->port());
  again.Send(absl::StrCat(
      "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 590000\r\n\r\n",
      std::string(590'000, 'x')));
  EXPECT_EQ(StatusOf(again.ReadMessage()), 200);
}

TEST_F(ServerTest, AdmissionRefusesBeforeTheBodyIsRead) {
  ServerOptions options;
  std::atomic<int> handled = 0;
  options.admit = [](const Request& request) -> std::optional<Response> {
    EXPECT_EQ(request.body.size(), 0u);
    if (request.headers.Get("authorization")) return std::nullopt;
    return TextResponse(401, "who are you?");
  };
  Start(std::move(options), [&handled](Request request) {
    ++handled;
    return Echo(std::move(request));
  });
  // The body never comes.
  EXPECT_THAT(Ask(Post("Content-Length: 5\r\n", "")),
              AllOf(HasSubstr("HTTP/1.1 401 "), HasSubstr("Connection: close"),
                    EndsWith("who are you?\n")));
  // A body that is there already, and none at all, keep the connection.
  RawSocket socket(server_->port());
  socket.Send(PostLength("hello") + Get("/") +
              PostLength("hi", "Authorization: x\r\n"));
  EXPECT_EQ(StatusOf(socket.ReadMessage()), 401);
  EXPECT_EQ(StatusOf(socket.ReadMessage()), 401);
  EXPECT_EQ(BodyOf(socket.ReadMessage()), "POST /p hi\n");
  EXPECT_EQ(handled, 1);
  EXPECT_EQ(Rejected("admission"), 3);
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
    response.headers.Add("content-length", "99");
    response.headers.Add("Transfer-Encoding", "chunked");
    response.headers.Add("X-Mine", "stays");
    co_return response;
  });
  RawSocket socket(server_->port());
  socket.Send(Get("/"));
  const std::string answer = socket.ReadMessage();
  EXPECT_THAT(answer,
              AllOf(HasSubstr("Content-Length: 5\r\n"), HasSubstr("X-Mine: "),
                    Not(HasSubstr("upgrade")), Not(HasSubstr("99")),
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

TEST_F(ServerTest, CancelsAHandlerThatTakesTooLong) {
  ServerOptions options;
  options.request_timeout = absl::Milliseconds(50);
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

TEST_F(ServerTest, CancelsTheHandlerWhenTheClientLeaves) {
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

TEST_F(ServerTest, SeesTheClientLeaveBehindAPipelinedRequest) {
  Gate gate;
  Start([&gate](Request) { return gate.Wait(); });
  RawSocket socket(server_->port());
  socket.Send(Get("/"));
  gate.entered.get_future().wait();
  socket.Send(Get("/next"));
  socket.Close();
  EXPECT_TRUE(gate.left.get_future().get());
}

TEST_F(ServerTest, EndsASlowHeader) {
  ServerOptions options;
  options.header_timeout = absl::Milliseconds(50);
  Start(std::move(options), Echo);
  EXPECT_EQ(StatusOf(Ask("GET / HTTP/1.1\r\nHost:")), 408);
  EXPECT_EQ(Rejected("timeout"), 1);
}

TEST_F(ServerTest, EndsASlowBody) {
  ServerOptions options;
  options.body_timeout = absl::Milliseconds(50);
  Start(std::move(options), Echo);
  EXPECT_EQ(StatusOf(Ask(Post("Content-Length: 5\r\n", "hel"))), 408);
  EXPECT_EQ(StatusOf(Ask(Post("Transfer-Encoding: chunked\r\n", "5\r\nhel"))),
            408);
  EXPECT_EQ(Rejected("timeout"), 2);
}

TEST_F(ServerTest, ClosesAnIdleConnection) {
  ServerOptions options;
  options.idle_timeout = absl::Milliseconds(50);
  Start(std::move(options), Echo);
  RawSocket socket(server_->port());
  socket.Send(Get("/"));
  EXPECT_EQ(StatusOf(socket.ReadMessage()), 200);
  EXPECT_TRUE(socket.AtEnd());
}

TEST_F(ServerTest, CutsAClientThatDoesNotRead) {
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

TEST_F(ServerTest, FurtherConnectionsWaitForAFreePlace) {
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

TEST_F(ServerTest, DrainClosesIdleConnectionsAndFinishesOpenRequests) {
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

TEST_F(ServerTest, DrainCutsWhatIsOpenAtItsTimeout) {
  Gate gate;
  Start([&gate](Request) { return gate.Wait(); });
  RawSocket open(server_->port());
  open.Send(Get("/open"));
  gate.entered.get_future().wait();
  server_->Drain(absl::Milliseconds(50));
  EXPECT_TRUE(gate.left.get_future().get());
  EXPECT_TRUE(open.AtEnd());
}

TEST_F(ServerTest, DestructionEndsEverything) {
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
