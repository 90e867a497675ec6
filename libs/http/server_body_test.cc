// Bodies: how they come in, within which bounds, and gzip both ways.
#include <gmock/gmock.h>
#include <zlib.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/http/server.h"
#include "libs/http/test_support.h"

namespace insula::http {
namespace {

namespace asio = boost::asio;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

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

class ServerBodyTest : public ServerFixture {};

TEST_F(ServerBodyTest, ReadsBodiesOfAllSizes) {
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

TEST_F(ServerBodyTest, ReadsABodyThatComesByteByByte) {
  Start(Echo);
  RawSocket socket(server_->port());
  for (const char c : PostLength("hello") + Get("/next")) {
    ASSERT_TRUE(socket.Send(absl::string_view(&c, 1)));
  }
  EXPECT_EQ(BodyOf(socket.ReadMessage()), "POST /p hello\n");
  EXPECT_EQ(BodyOf(socket.ReadMessage()), "GET /next \n");
}

TEST_F(ServerBodyTest, ReadsChunkedBodies) {
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

TEST_F(ServerBodyTest, ReadsAChunkedBodyThatComesByteByByte) {
  Start(Echo);
  RawSocket socket(server_->port());
  for (const char c :
       Post("Transfer-Encoding: chunked\r\n", "a\r\n0123456789\r\n0\r\n\r\n")) {
    ASSERT_TRUE(socket.Send(absl::string_view(&c, 1)));
  }
  EXPECT_EQ(BodyOf(socket.ReadMessage()), "POST /p 0123456789\n");
}

TEST_F(ServerBodyTest, SaysContinueToWhoWaitsForIt) {
  Start(Echo);
  RawSocket socket(server_->port());
  socket.Send(Post("Content-Length: 5\r\nExpect: 100-Continue\r\n", ""));
  EXPECT_EQ(socket.ReadThrough("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  socket.Send("hello");
  EXPECT_EQ(BodyOf(socket.ReadMessage()), "POST /p hello\n");
}

TEST_F(ServerBodyTest, RefusesALargeBodyBeforeItIsSent) {
  Start(Echo);
  RawSocket socket(server_->port());
  socket.Send(
      Post("Content-Length: 99999999999\r\nExpect: 100-continue\r\n", ""));
  const std::string answer = socket.ReadMessage();
  EXPECT_EQ(StatusOf(answer), 413);
  EXPECT_EQ(Rejected("body_limit"), 1);
}

TEST_F(ServerBodyTest, AClientThatSendsALargeBodyAllTheSameGetsTheAnswer) {
  Start(Echo);
  RawSocket socket(server_->port());
  // More than the socket buffers hold, and without looking at the answer.
  socket.Send(Post("Content-Length: 99999999999\r\n", ""));
  const std::string piece(1 << 20, 'x');
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(socket.Send(piece));
  EXPECT_EQ(StatusOf(socket.ReadMessage()), 413);
}

TEST_F(ServerBodyTest, DecodesGzip) {
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

TEST_F(ServerBodyTest, LeavesOtherEncodingsToTheHandler) {
  Start([](Request request) -> asio::awaitable<Response> {
    co_return TextResponse(
        200, absl::StrCat(*request.headers.Get("content-encoding"), " ",
                          request.body.view()));
  });
  RawSocket socket(server_->port());
  socket.Send(PostLength("abc", "Content-Encoding: snappy\r\n"));
  EXPECT_EQ(BodyOf(socket.ReadMessage()), "snappy abc\n");
}

TEST_F(ServerBodyTest, RefusesAGzipBomb) {
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

TEST_F(ServerBodyTest, RefusesMalformedGzip) {
  Start(Echo);
  const std::string gzip = GzipText("some text that is long enough to be cut");
  for (const std::string& body :
       {std::string("no gzip"), gzip.substr(0, gzip.size() - 1), gzip + "x"}) {
    EXPECT_EQ(StatusOf(Ask(PostLength(body, "Content-Encoding: gzip\r\n"))),
              400);
  }
  EXPECT_EQ(Rejected("body"), 3);
}

TEST_F(ServerBodyTest, EncodesLargeAnswersForThoseWhoAccept) {
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

TEST_F(ServerBodyTest, RefusesBodiesBeyondItsMemory) {
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

// Who announces much and sends little keeps nobody out.
TEST_F(ServerBodyTest, WhatIsOnlyAnnouncedTakesLittleOfItsMemory) {
  ServerOptions options;
  options.max_buffered_bytes = 1 << 20;
  Start(std::move(options), Echo);
  std::vector<std::unique_ptr<RawSocket>> slow;
  for (int i = 0; i < 40; ++i) {
    slow.push_back(std::make_unique<RawSocket>(server_->port()));
    slow.back()->Send(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n"
        "Expect: 100-continue\r\n\r\n");
    // It reads the body now.
    EXPECT_THAT(slow.back()->ReadThrough("\r\n\r\n"), HasSubstr(" 100 "));
    slow.back()->Send("x");
  }
  const std::string body(200'000, 'y');
  RawSocket other(server_->port());
  other.Send(absl::StrCat("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ",
                          body.size(), "\r\n\r\n", body));
  EXPECT_EQ(BodyOf(other.ReadMessage()), absl::StrCat("POST / ", body, "\n"));
  EXPECT_EQ(Rejected("memory"), 0);
}

TEST_F(ServerBodyTest, AdmissionRefusesBeforeTheBodyIsRead) {
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

}  // namespace
}  // namespace insula::http
