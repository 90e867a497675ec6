// What the client makes of the answers of well and ill behaved upstreams.
#include <gmock/gmock.h>

#include <string>
#include <utility>

#include "libs/http/client_fixture.h"
#include "libs/http/test_support.h"
#include "libs/status/status_matchers.h"

namespace insula::http {
namespace {

namespace asio = boost::asio;
using testing::Eq;
using testing::HasSubstr;
using testing::Optional;

class ClientAnswerTest : public ClientFixture {};

TEST_F(ClientAnswerTest, ReadsAllKindsOfBodies) {
  Make();
  const struct {
    const char* answer;
    const char* body;
  } table[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
       "2\r\nhe\r\n3;x\r\nllo\r\n0\r\nT: x\r\n\r\n",
       "hello"},
      {"HTTP/1.1 200 OK\r\n\r\nhello", "hello"},
      {"HTTP/1.0 200 OK\r\n\r\nhello", "hello"},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
       "hello"},
      {"HTTP/1.1 204 No Content\r\n\r\n", ""},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", ""},
  };
  for (const auto& [answer, body] : table) {
    const Result response = Interpret(answer);
    ASSERT_THAT(response, IsOk()) << answer;
    EXPECT_EQ(response->body, body) << answer;
  }
  const Result head =
      Interpret("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD");
  ASSERT_THAT(head, IsOk());
  EXPECT_EQ(head->body, "");
}

TEST_F(ClientAnswerTest, RefusesAmbiguousAndMalformedAnswers) {
  Make();
  for (const char* answer :
       {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
        "0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.1 999 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 101 Switching\r\n\r\n", "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokx\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
        "Content-Length: 2\r\n\r\nok"}) {
    EXPECT_THAT(Interpret(answer), StatusIs(absl::StatusCode::kUnavailable))
        << answer;
  }
  EXPECT_EQ(Connections(), 0);
}

TEST_F(ClientAnswerTest, DoesNotFollowRedirects) {
  Make();
  const Result response = Interpret(
      "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
      "Content-Length: 0\r\n\r\n");
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->status, 302);
}

TEST_F(ClientAnswerTest, DecodesGzip) {
  Make();
  const std::string text(2'000'000, 'z');
  Start([&text](Request request) -> asio::awaitable<Response> {
    EXPECT_THAT(request.headers.Get("accept-encoding"), Optional(Eq("gzip")));
    Response response;
    response.body = text;
    co_return response;
  });
  const Result response = Ask(To(server_->port())).get();
  ASSERT_THAT(response, IsOk());
  EXPECT_TRUE(response->body == text);
  EXPECT_EQ(response->headers.Count("content-encoding"), 0u);
}

TEST_F(ClientAnswerTest, BoundsAnswersAlsoWhenDecoded) {
  ClientOptions options;
  options.max_response_bytes = 100'000;
  Make(std::move(options));
  Start([](Request request) -> asio::awaitable<Response> {
    Response response;
    response.body =
        std::string(request.path() == "/fits" ? 100'000 : 100'001, 'x');
    if (request.path() == "/plain") {
      response.headers.Add("Content-Encoding", "identity");
    }
    co_return response;
  });
  for (const char* path : {"/gzip", "/plain"}) {
    EXPECT_THAT(
        Ask(To(server_->port(), path)).get(),
        StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("100000")));
  }
  EXPECT_THAT(Ask(To(server_->port(), "/fits")).get(), IsOk());
  EXPECT_THAT(Interpret("HTTP/1.1 200 OK\r\n\r\n" + std::string(100'001, 'x')),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(Interpret("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n"
                        "\r\n"),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(Interpret("HTTP/1.1 200 OK\r\nX: " + std::string(40'000, 'x')),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace insula::http
