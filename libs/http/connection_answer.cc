// How a connection answers, and how it ends.
#include <boost/asio/buffer.hpp>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/http/connection.h"
#include "libs/http/gzip.h"
#include "libs/http/request_id.h"
#include "libs/http/response_writer.h"
#include "libs/logging/logging.h"

namespace insula::http {
namespace {

namespace asio = boost::asio;

constexpr absl::Duration kGoodbyeTimeout = absl::Seconds(1);
constexpr absl::Duration kLingerTimeout = absl::Seconds(2);

}  // namespace

asio::awaitable<bool> Connection::Answer(Exchange* exchange,
                                         Response* response) {
  phase_ = Phase::kWriting;
  watchdog_->Set(core_->options.write_timeout);
  if (absl::Status status = CheckResponse(*response); !status.ok()) {
    core_->metrics.CountRejection(Rejection::kHandlerError);
    logging::Error("handler's answer can't be sent",
                   {{"server", core_->options.name},
                    {"request_id", exchange->id},
                    {"err", status}});
    *response = TextResponse(500, "internal error");
  }
  if (exchange->id.empty()) exchange->id = RandomRequestId();
  AnswerFacts facts;
  facts.request_id = exchange->id;
  facts.minor_version = exchange->head.minor_version;
  facts.head_request = exchange->head.method == "HEAD";
  facts.keep_alive =
      exchange->framing.keep_alive && exchange->body_read && !core_->draining();
  unread_body_ = !exchange->body_read;
  facts.chunked = response->rest != nullptr && MayHaveBody(*response);
  if (facts.chunked && !facts.head_request) {
    co_return co_await AnswerInPieces(exchange, response, &facts);
  }
  if (IsWorthGzip(*response)) {
    facts.vary = true;
    if (exchange->accepts_gzip && !facts.head_request) {
      std::optional<std::string> encoded = co_await Gzip(response->body);
      if (encoded) {
        response->body = *std::move(encoded);
        response->headers.Set("Content-Encoding", "gzip");
      }
    }
  }
  const std::string head = ResponseHeadText(*response, facts);
  const absl::string_view body = facts.head_request || !MayHaveBody(*response)
                                     ? absl::string_view()
                                     : response->body;
  Stream::Result sent;
  if (!stream_.WriteNow(head, body, &sent)) {
    sent = co_await stream_.WriteRest(head, body, sent);
  }
  const Stream::ErrorCode error = std::get<0>(sent);
  if (error) {
    broken_ = true;
    core_->metrics.CountRejection(
        watchdog_->expired() ? Rejection::kTimeout : Rejection::kClientGone);
  }
  core_->metrics.CountRequest(response->status,
                              absl::Now() - exchange->started);
  co_return !error && facts.keep_alive;
}

asio::awaitable<void> Connection::Finish() {
  if (broken_ || cut_) co_return;
  phase_ = Phase::kWriting;
  if (stream_.is_tls() && !core_->draining()) {
    watchdog_->Set(kGoodbyeTimeout);
    co_await stream_.Shutdown();
  }
  if (!unread_body_ && input_.empty() && stream_.Available() == 0) co_return;
  // Closing with bytes unread resets the connection, and the client may lose
  // the answer: say that no more comes, and read till it has understood.
  Stream::ErrorCode error;
  stream_.socket().shutdown(Stream::Socket::shutdown_send, error);
  watchdog_->Set(kLingerTimeout);
  Buffer sink(64 << 10);
  const asio::mutable_buffer space(sink.data(), sink.size());
  while (!error && !watchdog_->expired()) {
    const auto [read_error, bytes] =
        co_await stream_.socket().async_read_some(space, kAwaitTuple);
    error = read_error;
  }
}

}  // namespace insula::http
