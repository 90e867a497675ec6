// Answers whose body is read while it comes.
#include <gmock/gmock.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/http/client.h"
#include "libs/http/client_fixture.h"
#include "libs/http/test_support.h"
#include "libs/status/status_matchers.h"

namespace insula::http {
namespace {

namespace asio = boost::asio;
using testing::Eq;
using testing::HasSubstr;
using testing::Optional;
using Piece = absl::StatusOr<std::string>;

constexpr absl::string_view kChunked =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

// What came, or why nothing did.
std::string Text(const Piece& piece) {
  return piece.ok() ? *piece : piece.status().ToString();
}

class ClientStreamTest : public ClientFixture {
 protected:
  ClientStreamTest() { Make(); }
  ~ClientStreamTest() override { Close(); }

  // Opens stream_ to a new upstream_ that answers with `head`.
  absl::Status Open(absl::string_view head) {
    std::future<absl::Status> opened = Start(listener_.port());
    upstream_ = listener_.Accept();
    request_ = upstream_->ReadMessage();
    upstream_->Send(head);
    return opened.get();
  }

  std::future<absl::Status> Start(int port) {
    return asio::co_spawn(strand_, OpenOnStrand(To(port)), asio::use_future);
  }

  asio::awaitable<absl::Status> OpenOnStrand(ClientRequest request) {
    auto stream = co_await client_->Open(std::move(request),
                                         absl::Now() + absl::Seconds(20));
    if (!stream.ok()) co_return stream.status();
    stream_ = *std::move(stream);
    co_return absl::OkStatus();
  }

  std::future<Piece> StartRead(absl::Duration patience = absl::Seconds(20)) {
    return asio::co_spawn(
        strand_, ReadOnStrand(patience),
        asio::bind_cancellation_slot(cancel_.slot(), asio::use_future));
  }
  Piece Read(absl::Duration patience = absl::Seconds(20)) {
    return StartRead(patience).get();
  }

  asio::awaitable<Piece> ReadOnStrand(absl::Duration patience) {
    const auto piece = co_await stream_->Read(absl::Now() + patience);
    if (!piece.ok()) co_return piece.status();
    co_return std::string(*piece);
  }

  void Close() {
    std::promise<void> closed;
    asio::post(strand_, [this, &closed] {
      stream_.reset();
      closed.set_value();
    });
    closed.get_future().wait();
  }

  RawListener listener_;
  std::unique_ptr<RawSocket> upstream_;
  std::string request_;
  asio::strand<asio::any_io_executor> strand_ =
      asio::make_strand(asio::any_io_executor(pool_.get_executor()));
  asio::cancellation_signal cancel_;
  std::unique_ptr<ResponseStream> stream_;
};

TEST_F(ClientStreamTest, ReturnsWhatComesWhenItComes) {
  ASSERT_THAT(Open("HTTP/1.1 418 Tea\r\nX-A: b\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n"),
              IsOk());
  EXPECT_THAT(request_, HasSubstr("Accept-Encoding: identity\r\n"));
  EXPECT_EQ(stream_->status(), 418);
  EXPECT_THAT(stream_->headers().Get("x-a"), Optional(Eq("b")));
  for (const char* word : {"one", "two", "three"}) {
    std::future<Piece> piece = StartRead();
    upstream_->Send(
        absl::StrCat(absl::Hex(std::strlen(word)), "\r\n", word, "\r\n"));
    EXPECT_EQ(Text(piece.get()), word);
  }
  upstream_->Send("0\r\n\r\n");
  EXPECT_EQ(Text(Read()), "");
  EXPECT_EQ(Text(Read()), "");
}

TEST_F(ClientStreamTest, ReadsBodiesOfEveryFraming) {
  ASSERT_THAT(Open("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd"), IsOk());
  EXPECT_EQ(Text(Read()), "abc");
  EXPECT_EQ(Text(Read()), "");
  Close();
  ASSERT_THAT(Open("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"),
              IsOk());
  EXPECT_EQ(Text(Read()), "");
  Close();
  ASSERT_THAT(Open("HTTP/1.1 200 OK\r\n\r\nabc"), IsOk());
  EXPECT_EQ(Text(Read()), "abc");
  upstream_.reset();
  EXPECT_EQ(Text(Read()), "");
}

TEST_F(ClientStreamTest, GivesTheConnectionBackOnceAllIsRead) {
  ASSERT_THAT(Open(absl::StrCat(kChunked, "1\r\na\r\n0\r\n\r\n")), IsOk());
  EXPECT_EQ(Text(Read()), "a");
  EXPECT_EQ(Text(Read()), "");
  std::future<Result> next = Ask(To(listener_.port(), "/next"));
  EXPECT_THAT(upstream_->ReadMessage(), HasSubstr("GET /next "));
  upstream_->Send("HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_THAT(next.get(), IsOk());
}

TEST_F(ClientStreamTest, ClosesTheConnectionWhenItIsLeft) {
  ASSERT_THAT(Open(absl::StrCat(kChunked, "1\r\na\r\n")), IsOk());
  EXPECT_EQ(Text(Read()), "a");
  Close();
  EXPECT_TRUE(upstream_->AtEnd());
  EXPECT_EQ(Connections(), 0);
}

TEST_F(ClientStreamTest, GivesUpWhenNothingComes) {
  ASSERT_THAT(Open(absl::StrCat(kChunked, "5\r\nab")), IsOk());
  EXPECT_EQ(Text(Read()), "ab");
  EXPECT_THAT(Read(absl::Milliseconds(50)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(ClientStreamTest, TellsACutFromTheEnd) {
  ASSERT_THAT(Open(absl::StrCat(kChunked, "5\r\nab")), IsOk());
  EXPECT_EQ(Text(Read()), "ab");
  upstream_.reset();
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kUnavailable,
                               HasSubstr("incomplete answer")));
}

TEST_F(ClientStreamTest, RefusesMalformedBodies) {
  ASSERT_THAT(Open(absl::StrCat(kChunked, "1\r\nabc")), IsOk());
  EXPECT_EQ(Text(Read()), "a");
  EXPECT_THAT(Read(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("chunk")));
}

TEST_F(ClientStreamTest, RefusesAnEncodingThatNobodyAskedFor) {
  EXPECT_THAT(Open("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
                   "Content-Length: 1\r\n\r\na"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("encoded")));
}

TEST_F(ClientStreamTest, CanBeCancelled) {
  ASSERT_THAT(Open(kChunked), IsOk());
  std::future<Piece> piece = StartRead();
  asio::post(strand_,
             [this] { cancel_.emit(asio::cancellation_type::terminal); });
  EXPECT_THAT(piece.get(), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(ClientStreamTest, GoesOnWithoutItsClient) {
  ASSERT_THAT(Open(kChunked), IsOk());
  client_.reset();
  upstream_->Send("1\r\na\r\n0\r\n\r\n");
  EXPECT_EQ(Text(Read()), "a");
  EXPECT_EQ(Text(Read()), "");
}

TEST_F(ClientStreamTest, SaysWhenNobodyAnswers) {
  int port = 0;
  {
    port = RawListener().port();
  }
  EXPECT_THAT(Start(port).get(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ClientStreamTest, IsOpenedOnAStrand) {
  EXPECT_THAT(asio::co_spawn(pool_, OpenOnStrand(To(listener_.port())),
                             asio::use_future)
                  .get(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("strand")));
}

}  // namespace
}  // namespace insula::http
