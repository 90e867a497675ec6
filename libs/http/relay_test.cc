// Answers that a handler passes on from an upstream while they still come.
#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/http/body_source.h"
#include "libs/http/chunked.h"
#include "libs/http/client.h"
#include "libs/http/client_fixture.h"
#include "libs/http/gzip.h"
#include "libs/http/test_support.h"
#include "libs/status/status_matchers.h"

namespace insula::http {
namespace {

namespace asio = boost::asio;
using testing::HasSubstr;
using testing::Not;

constexpr size_t kWhole = 1000;

constexpr absl::string_view kChunked =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string Chunk(absl::string_view bytes) {
  return absl::StrCat(absl::Hex(bytes.size()), "\r\n", bytes, "\r\n");
}

// The body of an answer in chunks.
std::string Unchunked(absl::string_view answer) {
  std::string input = BodyOf(answer);
  absl::string_view left = input;
  ChunkedDecoder decoder;
  std::string body;
  while (!decoder.done()) {
    const auto piece = decoder.Next(left);
    if (!piece.ok() || piece->consumed == 0) {
      ADD_FAILURE() << "no whole body in chunks";
      break;
    }
    absl::StrAppend(&body, piece->data);
    left.remove_prefix(piece->consumed);
  }
  return body;
}

class RelayTest : public ClientFixture {
 protected:
  explicit RelayTest(ServerOptions options = ServerOptions()) {
    Make();
    ClientFixture::Start(
        std::move(options), [this](Request) -> asio::awaitable<Response> {
          ClientRequest request = To(listener_.port());
          request.max_whole_bytes = kWhole;
          absl::StatusOr<Response> response = co_await client_->Send(
              std::move(request), absl::Now() + absl::Seconds(20));
          if (!response.ok()) {
            co_return TextResponse(502, response.status().message());
          }
          Response passed;
          passed.body = std::move(response->body);
          passed.rest = std::move(response->rest);
          co_return passed;
        });
  }
  // Rests use the client.
  ~RelayTest() override {
    socket_.reset();
    upstream_.reset();
    server_.reset();
  }

  // Sends a request, which has come to upstream_ then.
  void Begin(absl::string_view more_headers = "",
             absl::string_view version = "1.1") {
    if (socket_ == nullptr) {
      socket_ = std::make_unique<RawSocket>(server_->port());
    }
    socket_->Send(absl::StrCat("GET / HTTP/", version, "\r\nHost: a\r\n",
                               more_headers, "\r\n"));
    if (upstream_ == nullptr) upstream_ = listener_.Accept();
    request_ = upstream_->ReadMessage();
  }

  RawListener listener_;
  std::unique_ptr<RawSocket> socket_;
  std::unique_ptr<RawSocket> upstream_;
  std::string request_;
};

TEST_F(RelayTest, PassesOnWhatComesWhenItComes) {
  Begin();
  EXPECT_THAT(request_, HasSubstr("Accept-Encoding: identity\r\n"));
  upstream_->Send(absl::StrCat(kChunked, Chunk(std::string(2000, 'a'))));
  std::string answer = socket_->ReadThrough(std::string(2000, 'a'));
  EXPECT_THAT(answer, HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("Content-Length")));
  upstream_->Send(Chunk("word"));
  answer += socket_->ReadThrough("word");
  upstream_->Send("0\r\n\r\n");
  answer += socket_->ReadThrough("\r\n0\r\n\r\n");
  EXPECT_EQ(Unchunked(answer), std::string(2000, 'a') + "word");
  // Both connections go on.
  Begin();
  upstream_->Send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nend");
  EXPECT_EQ(BodyOf(socket_->ReadMessage()), "end");
}

TEST_F(RelayTest, LeavesShortAnswersWhole) {
  for (const std::string& answer :
       {absl::StrCat(kChunked, Chunk(std::string(kWhole, 'a')), "0\r\n\r\n"),
        absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: ", kWhole, "\r\n\r\n",
                     std::string(kWhole, 'a'))}) {
    Begin();
    upstream_->Send(answer);
    const std::string passed = socket_->ReadMessage();
    EXPECT_THAT(passed, HasSubstr("Content-Length: 1000\r\n"));
    EXPECT_EQ(BodyOf(passed), std::string(kWhole, 'a'));
  }
}

TEST_F(RelayTest, PassesOnBodiesOfEveryFraming) {
  const std::string text(100'000, 'z');
  for (const std::string& answer :
       {absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: ", text.size(),
                     "\r\n\r\n", text),
        absl::StrCat(kChunked, Chunk(text), "0\r\n\r\n"),
        absl::StrCat("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", text)}) {
    Begin("Connection: close\r\n");
    upstream_->Send(answer);
    upstream_.reset();
    EXPECT_EQ(Unchunked(socket_->ReadToEnd()), text);
    EXPECT_FALSE(socket_->was_reset());
    socket_.reset();
  }
}

TEST_F(RelayTest, EncodesForThoseWhoAcceptIt) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) absl::StrAppend(&text, i, ",");
  Begin("Accept-Encoding: gzip\r\nConnection: close\r\n");
  upstream_->Send(absl::StrCat(kChunked, Chunk(text), "0\r\n\r\n"));
  const std::string answer = socket_->ReadToEnd();
  EXPECT_THAT(answer, HasSubstr("Content-Encoding: gzip\r\n"));
  EXPECT_THAT(answer, HasSubstr("Vary: Accept-Encoding\r\n"));
  const std::string encoded = Unchunked(answer);
  EXPECT_LT(encoded.size(), text.size() / 2);
  std::string decoded(text.size() + 1, '\0');
  GzipDecoder decoder(encoded);
  const auto size = decoder.Read(decoded.data(), decoded.size());
  ASSERT_THAT(size, IsOk());
  decoded.resize(*size);
  EXPECT_TRUE(decoded == text);
}

TEST_F(RelayTest, ReturnsWholeWhatComesInGzip) {
  std::string text(200'000, 'q');
  GzipEncoder encoder;
  const std::string encoded(encoder.Encode(text, /*last=*/true));
  Begin();
  upstream_->Send(
      absl::StrCat("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
                   "Content-Length: ",
                   encoded.size(), "\r\n\r\n", encoded));
  EXPECT_TRUE(BodyOf(socket_->ReadMessage()) == text);
}

// HTTP/1.0 knows no chunks: there the end of the connection is all there is.
TEST_F(RelayTest, BreaksOffWhenTheUpstreamDoes) {
  for (const absl::string_view version : {"1.1", "1.0"}) {
    const std::string text(2000, 'a');
    const std::string chunk = absl::StrCat(kChunked, Chunk(text));
    for (const auto& [answer, end] :
         {std::pair(absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: 4000"
                                 "\r\n\r\n",
                                 text),
                    ""),
          std::pair(chunk, ""), std::pair(chunk, "nonsense")}) {
      Begin("", version);
      upstream_->Send(answer);
      std::string passed = socket_->ReadThrough(text);
      EXPECT_THAT(passed, HasSubstr("200 OK"));
      upstream_->Send(end);
      upstream_.reset();
      passed += socket_->ReadToEnd();
      EXPECT_TRUE(socket_->was_reset()) << version << answer.substr(0, 60);
      EXPECT_FALSE(absl::EndsWith(passed, "0\r\n\r\n"));
      socket_.reset();
    }
  }
  EXPECT_EQ(Rejected("handler_error"), 6);
}

TEST_F(RelayTest, EndsCleanlyForOldClients) {
  Begin("Connection: keep-alive\r\n", "1.0");
  upstream_->Send(
      absl::StrCat(kChunked, Chunk(std::string(2000, 'a')), "0\r\n\r\n"));
  const std::string answer = socket_->ReadToEnd();
  EXPECT_FALSE(socket_->was_reset());
  EXPECT_EQ(BodyOf(answer), std::string(2000, 'a'));
  EXPECT_THAT(answer, Not(HasSubstr("chunked")));
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
}

TEST_F(RelayTest, LetsTheUpstreamGoWhenTheClientGoes) {
  Begin();
  upstream_->Send(absl::StrCat(kChunked, Chunk(std::string(2000, 'a'))));
  socket_->ReadThrough(std::string(2000, 'a'));
  socket_.reset();
  EXPECT_TRUE(upstream_->AtEnd());
}

// What a client does not take, the upstream is not asked for.
TEST_F(RelayTest, HoldsLittleForASlowReader) {
  constexpr size_t kMost = 64 << 20;  // Buffers of four sockets, and a piece.
  const std::string chunk = Chunk(std::string(1 << 20, 'a'));
  Begin();
  upstream_->Send(kChunked);
  size_t taken = 0;
  while (taken < kMost && upstream_->SendNow(chunk, absl::Seconds(1))) {
    taken += chunk.size();
  }
  EXPECT_LT(taken, kMost);
  // It goes on when the client does.
  socket_->ReadMany(taken);
  socket_.reset();
  EXPECT_TRUE(upstream_->AtEnd());
}

class ImpatientRelayTest : public RelayTest {
 protected:
  static ServerOptions Impatient() {
    ServerOptions options;
    options.write_timeout = absl::Milliseconds(300);
    return options;
  }
  ImpatientRelayTest() : RelayTest(Impatient()) {}
};

TEST_F(ImpatientRelayTest, GivesUpClientsThatTakeNothing) {
  const std::string chunk = Chunk(std::string(1 << 20, 'a'));
  Begin();
  upstream_->Send(kChunked);
  while (upstream_->Send(chunk)) {  // Until its connection is closed.
  }
  EXPECT_EQ(Rejected("timeout"), 1);
}

class BrokenRestTest : public ServerFixture {};

TEST_F(BrokenRestTest, AThrowingSourceBreaksTheAnswerOff) {
  class Throwing : public BodySource {
   public:
    asio::awaitable<absl::StatusOr<absl::string_view>> Next() override {
      if (++calls_ > 2) std::string("early").at(9);
      co_return "piece";
    }

   private:
    int calls_ = 0;
  };
  Start([](Request) -> asio::awaitable<Response> {
    Response response;
    response.rest = std::make_shared<Throwing>();
    co_return response;
  });
  RawSocket socket(server_->port());
  socket.Send(Get("/"));
  std::string answer = socket.ReadThrough("piece");
  answer += socket.ReadThrough("piece");
  answer += socket.ReadToEnd();
  EXPECT_TRUE(socket.was_reset());
  EXPECT_FALSE(absl::EndsWith(answer, "0\r\n\r\n"));
}

TEST_F(BrokenRestTest, CollectsWithinBounds) {
  class Three : public BodySource {
   public:
    asio::awaitable<absl::StatusOr<absl::string_view>> Next() override {
      co_return ++calls_ > 3 ? "" : "1234567890";
    }

   private:
    int calls_ = 0;
  };
  for (const auto& [bound, code] :
       {std::pair(33, absl::StatusCode::kOk),
        std::pair(32, absl::StatusCode::kResourceExhausted)}) {
    Response response;
    response.body = "abc";
    response.rest = std::make_shared<Three>();
    const absl::Status status =
        Await(pool_, CollectRest(&response, static_cast<size_t>(bound)));
    EXPECT_EQ(status.code(), code);
    EXPECT_EQ(response.body.size(), status.ok() ? 33u : 23u);
    EXPECT_EQ(response.rest, nullptr);
  }
}

}  // namespace
}  // namespace insula::http
