// How a connection sends an answer that still comes.
#include <algorithm>
#include <boost/asio/socket_base.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/http/body_source.h"
#include "libs/http/connection.h"
#include "libs/http/gzip.h"
#include "libs/http/response_writer.h"
#include "libs/logging/logging.h"

namespace insula::http {

namespace asio = boost::asio;

asio::awaitable<bool> Connection::AnswerInPieces(Exchange* exchange,
                                                 Response* response,
                                                 AnswerFacts* facts) {
  const bool chunks = facts->minor_version > 0;
  facts->keep_alive = facts->keep_alive && chunks;
  std::optional<GzipEncoder> encoder;
  if (response->headers.Count("content-encoding") == 0) {
    facts->vary = true;
    if (exchange->accepts_gzip) {
      encoder.emplace();
      response->headers.Set("Content-Encoding", "gzip");
    }
  }
  const absl::Time end = absl::Now() + core_->options.request_timeout;
  // What goes out before the next bytes of the body.
  std::string before = ResponseHeadText(*response, *facts);
  absl::string_view piece = response->body;
  bool last = false;
  bool ok = true;
  WatchClient();
  while (ok) {
    const absl::string_view bytes =
        encoder.has_value() ? encoder->Encode(piece, last) : piece;
    if (!bytes.empty()) {
      if (chunks) absl::StrAppend(&before, absl::Hex(bytes.size()), "\r\n");
      ok = co_await WritePiece(before, bytes, end);
      before = chunks ? "\r\n" : "";
    }
    if (last || !ok) break;
    const auto next = co_await NextPiece(response->rest.get(), exchange, end);
    ok = next.has_value();
    if (ok) piece = *next;
    last = piece.empty();
  }
  if (ok && chunks) before.append("0\r\n\r\n");
  if (ok) ok = co_await WritePiece(before, "", end);
  StopWatching();
  // Lets go of what has not come.
  response->rest = nullptr;
  if (!ok) BreakOff();
  core_->metrics.CountRequest(response->status,
                              absl::Now() - exchange->started);
  co_return ok && facts->keep_alive;
}

asio::awaitable<bool> Connection::WritePiece(absl::string_view before,
                                             absl::string_view bytes,
                                             absl::Time end) {
  if (client_gone_ || cut_) co_return false;
  phase_ = Phase::kWriting;
  watchdog_->Set(std::min(core_->options.write_timeout, end - absl::Now()));
  const auto [error, sent] = co_await stream_.WriteAll(before, bytes);
  if (!error) co_return true;
  core_->metrics.CountRejection(watchdog_->expired() ? Rejection::kTimeout
                                                     : Rejection::kClientGone);
  co_return false;
}

asio::awaitable<std::optional<absl::string_view>> Connection::NextPiece(
    BodySource* rest, const Exchange* exchange, absl::Time end) {
  phase_ = Phase::kHandling;
  watchdog_->Set(end - absl::Now());
  absl::StatusOr<absl::string_view> piece = absl::InternalError("it threw");
  try {
    piece = co_await rest->Next();
  } catch (const std::exception& error) {
    piece = absl::InternalError(error.what());
  }
  phase_ = Phase::kWriting;
  if (client_gone_ || cut_) {
    core_->metrics.CountRejection(Rejection::kClientGone);
    co_return std::nullopt;
  }
  if (piece.ok() && !watchdog_->expired()) co_return *piece;
  core_->metrics.CountRejection(
      watchdog_->expired() ? Rejection::kDeadline : Rejection::kHandlerError);
  logging::Debug("answer broken off", {{"server", core_->options.name},
                                       {"request_id", exchange->id},
                                       {"err", piece.status()}});
  co_return std::nullopt;
}

void Connection::BreakOff() {
  broken_ = true;
  // So that it is not taken for the end of the answer where only the end of the
  // connection tells that.
  Stream::ErrorCode ignored;
  stream_.socket().set_option(asio::socket_base::linger(true, 0), ignored);
}

}  // namespace insula::http
