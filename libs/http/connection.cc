#include "libs/http/connection.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/http/gzip.h"
#include "libs/http/request_id.h"
#include "libs/logging/logging.h"

namespace insula::http {
namespace {

namespace asio = boost::asio;

constexpr size_t kHeadRoom = 8 << 10;
constexpr std::chrono::milliseconds kRecheck(200);

}  // namespace

Connection::Connection(Stream::Socket socket, std::shared_ptr<ServerCore> core,
                       size_t executor_number, const AddressKey& address_key)
    : core_(std::move(core)),
      executor_number_(executor_number),
      address_key_(address_key),
      // The server has not started unless there was a context once.
      stream_(std::move(socket),
              core_->tls == nullptr ? nullptr : core_->tls->Get().value()) {}

void Connection::Start() {
  auto self = shared_from_this();
  watchdog_.emplace(core_->alarms, stream_.socket().get_executor(),
                    weak_from_this(), [this] { OnExpiry(); });
  watch_soon_.emplace(core_->alarms, stream_.socket().get_executor(),
                      weak_from_this(), [this] { WatchClient(); });
  // The connection leaves the server once its coroutine is gone, with all that
  // a handler may have left there.
  asio::co_spawn(
      stream_.socket().get_executor(), Run(),
      asio::bind_cancellation_slot(
          cancel_.slot(), [self = std::move(self)](std::exception_ptr error) {
            if (error != nullptr) {
              logging::Error("connection failed",
                             {{"server", self->core_->options.name}});
            }
            self->phase_ = Phase::kClosed;
            self->watchdog_->Stop();
            self->watch_soon_->Stop();
            self->stream_.Close();
            self->core_->Remove(self.get());
          }));
}

void Connection::BeginDrain() {
  asio::post(stream_.socket().get_executor(), [self = shared_from_this()] {
    if (self->phase_ == Phase::kIdle) self->stream_.Cancel();
  });
}

void Connection::Cut() {
  asio::post(stream_.socket().get_executor(), [self = shared_from_this()] {
    if (self->phase_ == Phase::kClosed) return;
    self->cut_ = true;
    if (self->phase_ == Phase::kHandling) self->CancelHandler();
    self->stream_.Close();
  });
}

void Connection::OnExpiry() {
  if (phase_ == Phase::kHandling) {
    CancelHandler();
  } else {
    stream_.Cancel();
  }
}

void Connection::CancelHandler() {
  // An operation that the handler begins at this very moment is missed: the
  // watchdog calls again until the handler has returned.
  if (!watchdog_->expired()) watchdog_->Set(absl::ZeroDuration());
  cancel_.emit(asio::cancellation_type::terminal);
}

asio::awaitable<void> Connection::Run() {
  // Our own operations report cancellation as an error.
  co_await asio::this_coro::throw_if_cancelled(false);
  bool more = true;
  if (stream_.is_tls()) more = co_await Handshake();
  if (!more) co_return;
  peer_ = DescribePeer(&stream_);
  while (more) {
    more = co_await WaitForRequest();
    if (more) more = co_await ServeOne();
  }
  co_await Finish();
}

asio::awaitable<bool> Connection::Handshake() {
  if (core_->draining()) co_return false;
  watchdog_->Set(core_->options.header_timeout);
  const auto [error] = co_await stream_.Handshake(/*as_server=*/true);
  if (!error) co_return true;
  core_->metrics.CountRejection(Rejection::kHandshake);
  logging::Debug("TLS handshake failed",
                 {{"server", core_->options.name}, {"err", error.message()}});
  co_return false;
}

asio::awaitable<bool> Connection::WaitForRequest() {
  phase_ = Phase::kIdle;
  if (cut_) co_return false;
  if (!input_.empty()) co_return true;  // Pipelined.
  if (core_->draining()) co_return false;
  watchdog_->Set(core_->options.idle_timeout);
  idle_since_ = SteadyNanos();
  Stream::ErrorCode error;
  if (stream_.is_tls()) {
    // A record may already be in OpenSSL's hands, so only a read can tell.
    error = co_await input_.ReadMore(&stream_, kHeadRoom);
  } else {
    const auto [waited] = co_await stream_.socket().async_wait(
        Stream::Socket::wait_read, kAwaitTuple);
    error = waited;
  }
  idle_since_ = kNotIdle;
  co_return !error;
}

asio::awaitable<bool> Connection::ServeOne() {
  phase_ = Phase::kReading;
  Exchange exchange;
  exchange.started = absl::Now();
  const auto bad_head = co_await ReadHead(&exchange);
  if (bad_head) co_return co_await Refuse(&exchange, &*bad_head);
  exchange.started = absl::Now();
  exchange.accepts_gzip = AcceptsGzip(exchange.head.headers);
  exchange.id = RequestId(exchange.head.headers);

  Request request;
  request.method = exchange.head.method;
  request.target = std::move(exchange.head.target);
  request.headers = std::move(exchange.head.headers);
  request.peer = peer_;
  request.id = exchange.id;
  request.deadline = exchange.started + core_->options.request_timeout;
  exchange.body_read = exchange.framing.body == Framing::Body::kNone;
  if (std::optional<Response> response = Admit(&exchange, request)) {
    co_return co_await Answer(&exchange, &*response);
  }

  Reservation reservation(&core_->budget);
  if (!exchange.body_read) {
    const auto refusal =
        co_await ReadRequestBody(&exchange, &reservation, &request);
    if (refusal) co_return co_await Refuse(&exchange, &*refusal);
    request.deadline = absl::Now() + core_->options.request_timeout;
  }
  Response response = co_await Handle(&request);
  reservation.Release();
  if (client_gone_ || cut_) {
    core_->metrics.CountRejection(Rejection::kClientGone);
    core_->metrics.CountRequest(499, absl::Now() - exchange.started);
    broken_ = true;
    co_return false;
  }
  co_return co_await Answer(&exchange, &response);
}

asio::awaitable<std::optional<Connection::Refusal>> Connection::ReadHead(
    Exchange* exchange) {
  const ServerOptions& options = core_->options;
  watchdog_->Set(options.header_timeout);
  HeadScanner::Limits limits;
  limits.max_bytes = options.max_header_bytes;
  limits.max_fields = options.max_headers;
  HeadScanner scanner(limits);
  std::optional<size_t> end;
  while (!end) {
    absl::StatusOr<std::optional<size_t>> found = scanner.Scan(input_.view());
    if (!found.ok()) co_return HeadFailure(found.status());
    end = *found;
    if (end) break;
    const auto [error, bytes] =
        co_await stream_.ReadSome(input_.Space(kHeadRoom));
    input_.Took(bytes);
    if (error) co_return InputFailure("header");
  }
  absl::StatusOr<RequestHead> head =
      ParseRequestHead(input_.view().substr(0, *end));
  if (!head.ok()) co_return HeadFailure(head.status());
  input_.Consume(*end);
  exchange->head = *std::move(head);
  absl::StatusOr<Framing> framing =
      FrameRequest(exchange->head.headers, exchange->head.minor_version);
  if (!framing.ok()) co_return HeadFailure(framing.status());
  exchange->framing = *framing;
  co_return std::nullopt;
}

std::optional<Response> Connection::Admit(Exchange* exchange,
                                          const Request& request) {
  if (core_->options.admit == nullptr) return std::nullopt;
  std::optional<Response> response;
  try {
    response = core_->options.admit(request);
  } catch (const std::exception& error) {
    logging::Error("admission threw", {{"server", core_->options.name},
                                       {"request_id", request.id},
                                       {"err", error.what()}});
    core_->metrics.CountRejection(Rejection::kHandlerError);
    return TextResponse(500, "internal error");
  }
  if (!response) return std::nullopt;
  core_->metrics.CountRejection(Rejection::kAdmission);
  // A short body that has come with the head can be skipped; but who asked
  // whether to send it may or may not do so.
  const Framing& framing = exchange->framing;
  if (framing.body == Framing::Body::kLength && !framing.expect_continue &&
      framing.length <= input_.view().size()) {
    input_.Consume(framing.length);
    exchange->body_read = true;
  }
  return response;
}

asio::awaitable<std::optional<Connection::Refusal>> Connection::ReadRequestBody(
    Exchange* exchange, Reservation* reservation, Request* request) {
  const size_t max_bytes = core_->options.max_body_bytes;
  const Framing framing = exchange->framing;
  const bool too_large =
      framing.body == Framing::Body::kLength && framing.length > max_bytes;
  watchdog_->Set(core_->options.body_timeout);
  if (framing.expect_continue && input_.empty() && !too_large) {
    const auto [error, bytes] =
        co_await stream_.WriteAll("HTTP/1.1 100 Continue\r\n\r\n", "");
    if (error) co_return InputFailure("body");
  }
  absl::Status status;
  if (const auto taken =
          TakeBody(&input_, framing, max_bytes, reservation, &request->body)) {
    status = *taken;
  } else {
    status = co_await ReadBody(&stream_, &input_, framing, max_bytes,
                               reservation, &request->body);
  }
  if (!status.ok()) co_return BodyFailure(status);
  exchange->body_read = true;
  if (request->body.size() == 0 || !IsGzip(request->headers)) {
    co_return std::nullopt;
  }

  const Buffer encoded = std::move(request->body);
  request->body = Buffer();
  status =
      co_await Gunzip(encoded.view(), max_bytes, reservation, &request->body);
  if (!status.ok()) co_return BodyFailure(status);
  request->headers.Remove("content-encoding");
  co_return std::nullopt;
}

Connection::Refusal Connection::HeadFailure(const absl::Status& status) {
  Refusal refusal;
  refusal.message = std::string(status.message());
  refusal.reason = Rejection::kFraming;
  refusal.status = 400;
  if (absl::IsResourceExhausted(status)) {
    refusal.reason = Rejection::kHeaderLimit;
    refusal.status = 431;
  } else if (absl::IsUnimplemented(status)) {
    refusal.status = 505;
  } else if (absl::IsFailedPrecondition(status)) {
    refusal.status = 417;
  }
  return refusal;
}

Connection::Refusal Connection::BodyFailure(const absl::Status& status) {
  if (absl::IsAborted(status)) return InputFailure("body");
  Refusal refusal;
  refusal.message = std::string(status.message());
  refusal.reason = Rejection::kBody;
  refusal.status = 400;
  if (absl::IsResourceExhausted(status)) {
    refusal.reason = Rejection::kBodyLimit;
    refusal.status = 413;
  } else if (absl::IsUnavailable(status)) {
    refusal.reason = Rejection::kMemory;
    refusal.status = 503;
  }
  return refusal;
}

Connection::Refusal Connection::InputFailure(absl::string_view part) {
  Refusal refusal;
  if (cut_) {
    refusal.reason = Rejection::kClientGone;
  } else if (watchdog_->expired()) {
    refusal.reason = Rejection::kTimeout;
    refusal.status = 408;
    refusal.message = absl::StrCat("the request's ", part, " came too slowly");
  } else {
    // Who leaves before the first byte has asked for nothing.
    const bool nothing = part == "header" && input_.empty();
    refusal.reason = nothing ? Rejection::kCount : Rejection::kClientGone;
  }
  return refusal;
}

asio::awaitable<bool> Connection::Refuse(Exchange* exchange,
                                         const Refusal* refusal) {
  if (refusal->reason != Rejection::kCount) {
    core_->metrics.CountRejection(refusal->reason);
  }
  if (refusal->status == 0) {
    broken_ = true;
    co_return false;
  }
  exchange->framing.keep_alive = false;
  exchange->body_read = false;
  Response response = TextResponse(refusal->status, refusal->message);
  if (refusal->status == 503) response.headers.Add("Retry-After", "1");
  co_return co_await Answer(exchange, &response);
}

asio::awaitable<Response> Connection::Handle(Request* request) {
  phase_ = Phase::kHandling;
  watchdog_->Set(core_->options.request_timeout);
  const std::string id = request->id;
  WatchClientSoon();
  std::string failure;
  Response response;
  co_await asio::this_coro::throw_if_cancelled(true);
  try {
    asio::awaitable<Response> handling = core_->handler(std::move(*request));
    response = co_await std::move(handling);
  } catch (const std::exception& error) {
    failure = absl::StrCat("exception: ", error.what());
  } catch (...) {
    failure = "exception of an unknown type";
  }
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await asio::this_coro::reset_cancellation_state(
      asio::enable_terminal_cancellation());
  phase_ = Phase::kWriting;
  StopWatching();

  if (client_gone_ || cut_) co_return response;
  if (watchdog_->expired()) {
    core_->metrics.CountRejection(Rejection::kDeadline);
    co_return TextResponse(504, "the request took too long");
  }
  if (!failure.empty()) {
    core_->metrics.CountRejection(Rejection::kHandlerError);
    logging::Error("handler threw", {{"server", core_->options.name},
                                     {"request_id", id},
                                     {"err", failure}});
    co_return TextResponse(500, "internal error");
  }
  co_return response;
}

void Connection::WatchClient() {
  watch_soon_->Stop();
  watching_ = true;
  stream_.socket().async_wait(
      Stream::Socket::wait_read,
      [self = shared_from_this(), watch = ++watch_](Stream::ErrorCode error) {
        if (watch != self->watch_) return;
        self->watching_ = false;
        if (!error) self->OnClientReadable();
      });
}

void Connection::StopWatching() {
  watch_soon_->Stop();
  ++watch_;
  if (watching_) stream_.Cancel();
  watching_ = false;
  if (recheck_) recheck_->cancel();
}

void Connection::OnClientReadable() {
  if (stream_.PeerLeft()) {
    client_gone_ = true;
    CancelHandler();
    return;
  }
  if (!recheck_) recheck_.emplace(stream_.socket().get_executor());
  recheck_->expires_after(kRecheck);
  recheck_->async_wait(
      [self = shared_from_this(), watch = watch_](Stream::ErrorCode error) {
        if (!error && watch == self->watch_) self->OnClientReadable();
      });
}

}  // namespace insula::http
