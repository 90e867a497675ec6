#include "libs/http/client_exchange.h"

#include <algorithm>
#include <array>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/write.hpp>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/http/body.h"
#include "libs/http/gzip.h"
#include "libs/http/literal_address.h"
#include "libs/http/tls_context.h"
#include "libs/secret/secret.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/sync/strand.h"

namespace insula::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr size_t kHeadRoom = 16 << 10;
constexpr size_t kMaxFields = 200;
constexpr int kMaxInterimAnswers = 8;
constexpr size_t kMaxTunnelAnswer = 16 << 10;
constexpr size_t kUnbounded = std::numeric_limits<size_t>::max();

// The client's own, or of one hop.
bool IsClientsOwn(absl::string_view name) {
  for (const absl::string_view own :
       {"host", "content-length", "accept-encoding", "connection",
        "transfer-encoding", "keep-alive", "proxy-authorization",
        "proxy-connection", "te", "trailer", "upgrade", "expect"}) {
    if (IsSameName(name, own)) return true;
  }
  return false;
}

bool TakesBody(absl::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

std::string HostKey(const Url& url) {
  return absl::StrCat(url.scheme, "://", url.host, "|", url.port);
}

}  // namespace

absl::Status CheckRequest(const ClientRequest& request) {
  if (!IsToken(request.method)) {
    return absl::InvalidArgumentError("request method is not a token");
  }
  const Url& url = request.url;
  const std::string& target = url.target;
  if ((url.scheme != "http" && url.scheme != "https") || url.host.empty() ||
      url.port < 1 || url.port > 65535 || !absl::StartsWith(target, "/") ||
      !std::all_of(target.begin(), target.end(), absl::ascii_isgraph) ||
      !std::all_of(url.host.begin(), url.host.end(), absl::ascii_isgraph)) {
    return absl::InvalidArgumentError("request URL is malformed: parse it");
  }
  for (const auto& [name, value] : request.headers) {
    if (!IsToken(name) || !IsFieldValue(value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("request header '", name, "' is malformed"));
    }
  }
  return absl::OkStatus();
}

std::string RequestHeadText(const ClientRequest& request, bool accept_gzip,
                            const Proxy* proxy) {
  // A proxy that is asked for an https host passes on what it can't read.
  const bool to_proxy = proxy != nullptr && request.url.scheme == "http";
  std::string text;
  text.reserve(512 + request.url.target.size());
  absl::StrAppend(&text, request.method, " ",
                  to_proxy ? request.url.ToString() : request.url.target,
                  " HTTP/1.1\r\nHost: ", request.url.HostPort(), "\r\n");
  if (to_proxy && !proxy->authorization.empty()) {
    absl::StrAppend(
        &text, "Proxy-Authorization: ", proxy->authorization.Reveal(), "\r\n");
  }
  for (const auto& [name, value] : request.headers) {
    if (!IsClientsOwn(name)) absl::StrAppend(&text, name, ": ", value, "\r\n");
  }
  const size_t length = request.body_to_send().size();
  if (length > 0 || TakesBody(request.method)) {
    absl::StrAppend(&text, "Content-Length: ", length, "\r\n");
  }
  absl::StrAppend(&text, "Accept-Encoding: ", accept_gzip ? "gzip" : "identity",
                  "\r\n\r\n");
  return text;
}

ClientExchange::ClientExchange(ExchangeContext context,
                               const ClientRequest* request,
                               absl::Time deadline,
                               asio::any_io_executor strand)
    : context_(std::move(context)),
      request_(*request),
      deadline_(deadline),
      strand_(std::move(strand)),
      host_key_(HostKey(request_.url)) {}

void ClientExchange::OnExpiry() {
  if (lease_.connection != nullptr) lease_.connection->stream.Cancel();
  if (waiting_on_ != nullptr) waiting_on_->cancel();
}

absl::Status ClientExchange::Failure(const absl::Status& otherwise) const {
  if (watchdog_->expired() && absl::Now() >= deadline_) {
    return absl::DeadlineExceededError("no complete answer in time");
  }
  return otherwise;
}

asio::awaitable<absl::StatusOr<ResponseHead>> ClientExchange::Ask(
    bool accept_gzip) {
  watchdog_.emplace(context_.alarms, strand_, weak_from_this(),
                    [this] { OnExpiry(); });
  watchdog_->Set(deadline_ - absl::Now());
  lease_ = context_.pool->TryAcquire(host_key_, ContextOf(strand_));
  if (!lease_) CO_RETURN_IF_ERROR(co_await WaitForLease());
  const bool pooled = lease_.connection != nullptr;
  if (!pooled) CO_RETURN_IF_ERROR(co_await Connect());
  absl::StatusOr<ResponseHead> head = co_await RoundTrip(accept_gzip);
  // The host may close an idle connection just when we begin to use it.
  if (pooled && !any_byte_ && absl::IsUnavailable(head.status())) {
    CO_RETURN_IF_ERROR(co_await Connect());
    head = co_await RoundTrip(accept_gzip);
  }
  co_return head;
}

asio::awaitable<absl::StatusOr<ResponseHead>> ClientExchange::Open() {
  CO_ASSIGN_OR_RETURN(ResponseHead head, co_await Ask(/*accept_gzip=*/false));
  CO_ASSIGN_OR_RETURN(const Framing framing, Frame(head));
  if (head.headers.Get("content-encoding").value_or("identity") != "identity") {
    co_return absl::UnavailableError(
        "malformed answer: its body is encoded, and nobody asked for that");
  }
  keep_alive_ = framing.keep_alive;
  body_.emplace(&lease_.connection->stream, &lease_.connection->input, framing);
  watchdog_->Clear();
  co_return head;
}

asio::awaitable<absl::StatusOr<absl::string_view>> ClientExchange::Read(
    absl::Time deadline) {
  if (body_->done()) co_return absl::string_view();
  deadline_ = deadline;
  watchdog_->Set(deadline - absl::Now());
  absl::StatusOr<absl::string_view> piece = co_await body_->Next();
  if (!piece.ok()) {
    co_return Failure(absl::UnavailableError(
        absl::StrCat("incomplete answer: ", piece.status().message())));
  }
  watchdog_->Clear();
  if (body_->done()) GiveBack(keep_alive_);
  co_return piece;
}

void ClientExchange::GiveBack(bool keep_alive) {
  // Bytes behind the answer belong to nothing that was asked.
  if (keep_alive && !write_failed_ && lease_.connection->input.empty()) {
    lease_.Keep();
  }
  lease_ = ConnectionPool::Lease();
}

asio::awaitable<absl::Status> ClientExchange::WaitForLease() {
  auto waiter = std::make_shared<ConnectionPool::Waiter>(strand_);
  CO_ASSIGN_OR_RETURN(lease_, context_.pool->AcquireOrWait(host_key_, waiter));
  if (lease_) co_return absl::OkStatus();
  waiting_on_ = std::shared_ptr<asio::steady_timer>(waiter, &waiter->timer);
  co_await waiting_on_->async_wait(kAwaitTuple);
  waiting_on_ = nullptr;
  context_.pool->Abandon(host_key_, waiter.get());
  lease_ = context_.pool->Collect(waiter.get());
  if (lease_) co_return absl::OkStatus();
  co_return Failure(absl::UnavailableError("gave up to wait for a connection"));
}

absl::Status ClientExchange::CheckEndpoints(absl::string_view host,
                                            const Endpoints& endpoints) const {
  for (const tcp::endpoint& endpoint : endpoints) {
    const asio::ip::address& address = endpoint.address();
    if (!context_.options->refused_networks.Contain(address)) continue;
    return absl::PermissionDeniedError(absl::StrCat(
        "host '", host, "' has the address ", address.to_string(),
        ", which this service must not connect to: use another host, or take "
        "the address out of the refused networks"));
  }
  return absl::OkStatus();
}

asio::awaitable<absl::StatusOr<ClientExchange::Endpoints>>
ClientExchange::FindEndpoints() {
  const Url& url = request_.url;
  std::string host = url.host;
  auto port = static_cast<uint16_t>(url.port);
  if (context_.proxy != nullptr) {
    if (const auto address = AddressInText(host)) {
      const Endpoints behind(1, tcp::endpoint(*address, port));
      CO_RETURN_IF_ERROR(CheckEndpoints(host, behind));
    }
    host = context_.proxy->host;
    port = static_cast<uint16_t>(context_.proxy->port);
  }
  CO_ASSIGN_OR_RETURN(Endpoints endpoints, co_await Resolve(host, port));
  CO_RETURN_IF_ERROR(CheckEndpoints(host, endpoints));
  co_return endpoints;
}

asio::awaitable<absl::StatusOr<ClientExchange::Endpoints>>
ClientExchange::Resolve(std::string host, uint16_t port) {
  boost::system::error_code not_numeric;
  const auto address = asio::ip::make_address(host, not_numeric);
  if (!not_numeric) co_return Endpoints(1, tcp::endpoint(address, port));

  // A look-up can't be interrupted, so it is left behind at the deadline.
  struct Lookup {
    Lookup(const asio::any_io_executor& executor,
           const asio::any_io_executor& strand)
        : resolver(executor),
          done(strand, Watchdog::Clock::time_point::max()) {}
    tcp::resolver resolver;
    asio::steady_timer done;
    absl::StatusOr<Endpoints> result =
        absl::UnavailableError("looking up the host's address took too long");
  };
  auto lookup = std::make_shared<Lookup>(context_.executor, strand_);
  lookup->resolver.async_resolve(
      host, absl::StrCat(port), tcp::resolver::numeric_service,
      asio::bind_executor(strand_, [lookup](boost::system::error_code error,
                                            const auto& found) {
        if (error) {
          lookup->result = absl::UnavailableError(absl::StrCat(
              "can't look up the host's address: ", error.message()));
        } else {
          Endpoints endpoints;
          for (const auto& each : found) endpoints.push_back(each.endpoint());
          lookup->result = std::move(endpoints);
        }
        lookup->done.cancel();
      }));
  waiting_on_ = std::shared_ptr<asio::steady_timer>(lookup, &lookup->done);
  co_await waiting_on_->async_wait(kAwaitTuple);
  waiting_on_ = nullptr;
  co_return std::move(lookup->result);
}

asio::awaitable<absl::Status> ClientExchange::Connect() {
  lease_.connection = nullptr;
  const absl::Duration left = deadline_ - absl::Now();
  watchdog_->Set(std::min(left, context_.options->connect_timeout));
  CO_ASSIGN_OR_RETURN(const Endpoints endpoints, co_await FindEndpoints());
  if (watchdog_->expired()) {
    co_return Failure(absl::UnavailableError("connecting took too long"));
  }
  lease_.connection = std::make_unique<ClientConnection>(
      tcp::socket(sync::ExecutorBelow(strand_)), context_.tls,
      context_.connections);
  CO_RETURN_IF_ERROR(co_await ConnectTo(endpoints));
  if (lease_.connection->stream.is_tls()) {
    if (context_.proxy != nullptr) CO_RETURN_IF_ERROR(co_await OpenTunnel());
    CO_RETURN_IF_ERROR(co_await Handshake());
  }
  watchdog_->Set(deadline_ - absl::Now());
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> ClientExchange::ConnectTo(Endpoints endpoints) {
  Stream& stream = lease_.connection->stream;
  Stream::ErrorCode error = asio::error::host_not_found;
  for (const tcp::endpoint& endpoint : endpoints) {
    stream.Close();
    const auto [connected] =
        co_await stream.socket().async_connect(endpoint, kAwaitTuple);
    error = connected;
    if (!error || watchdog_->expired()) break;
  }
  if (error) {
    const absl::string_view whom =
        context_.proxy == nullptr ? "" : " to the proxy";
    co_return Failure(absl::UnavailableError(
        watchdog_->expired()
            ? absl::StrCat("connecting", whom, " took too long")
            : absl::StrCat("can't connect", whom, ": ", error.message())));
  }
  stream.socket().set_option(tcp::no_delay(true), error);
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> ClientExchange::Handshake() {
  Stream& stream = lease_.connection->stream;
  CO_RETURN_IF_ERROR(ExpectServer(stream.ssl(), context_.server_name));
  const auto [failed] = co_await stream.Handshake(/*as_server=*/false);
  if (!failed) co_return absl::OkStatus();
  co_return Failure(absl::UnavailableError(
      absl::StrCat("TLS handshake failed: ", failed.message())));
}

asio::awaitable<absl::Status> ClientExchange::OpenTunnel() {
  const std::string host =
      absl::StrCat(absl::StrContains(request_.url.host, ':')
                       ? absl::StrCat("[", request_.url.host, "]")
                       : request_.url.host,
                   ":", request_.url.port);
  std::string text =
      absl::StrCat("CONNECT ", host, " HTTP/1.1\r\nHost: ", host, "\r\n");
  if (!context_.proxy->authorization.empty()) {
    absl::StrAppend(&text, "Proxy-Authorization: ",
                    context_.proxy->authorization.Reveal(), "\r\n");
  }
  text.append("\r\n");
  const asio::const_buffer bytes = asio::buffer(text);
  const auto [failed, sent] = co_await asio::async_write(
      lease_.connection->stream.socket(), bytes, kAwaitTuple);
  WipeString(&text);
  if (failed) {
    co_return Failure(absl::UnavailableError(
        absl::StrCat("can't send to the proxy: ", failed.message())));
  }
  absl::StatusOr<ResponseHead> head = co_await ReadTunnelAnswer();
  if (!head.ok()) {
    co_return Failure(absl::UnavailableError(
        absl::StrCat("the proxy's answer: ", head.status().message())));
  }
  if (head->status / 100 == 2) co_return absl::OkStatus();
  co_return absl::UnavailableError(absl::StrCat(
      "the proxy answered ", head->status, " to CONNECT",
      head->status == 407
          ? ": put user and password into the proxy's URL, or mend them"
          : ""));
}

asio::awaitable<absl::StatusOr<ResponseHead>>
ClientExchange::ReadTunnelAnswer() {
  HeadScanner::Limits limits;
  limits.max_bytes = kMaxTunnelAnswer;
  limits.max_fields = kMaxFields;
  HeadScanner scanner(limits);
  std::string answer;
  std::array<char, 1024> piece;
  while (true) {
    const asio::mutable_buffer room = asio::buffer(piece);
    const auto [error, bytes] =
        co_await lease_.connection->stream.socket().async_read_some(
            room, kAwaitTuple);
    if (error) {
      co_return absl::UnavailableError(
          absl::StrCat("ended too early: ", error.message()));
    }
    answer.append(piece.data(), bytes);
    CO_ASSIGN_OR_RETURN(const std::optional<size_t> end, scanner.Scan(answer));
    if (!end.has_value()) continue;
    // The host behind it speaks when it is spoken to.
    if (*end != answer.size() && answer.substr(9, 1) == "2") {
      co_return absl::UnavailableError("has bytes behind it");
    }
    co_return ParseResponseHead(absl::string_view(answer).substr(0, *end));
  }
}

asio::awaitable<absl::StatusOr<ResponseHead>> ClientExchange::RoundTrip(
    bool accept_gzip) {
  const std::string text =
      RequestHeadText(request_, accept_gzip, context_.proxy);
  ClientConnection& connection = *lease_.connection;
  Stream::Result sent;
  if (!connection.stream.WriteNow(text, request_.body_to_send(), &sent)) {
    sent = co_await connection.stream.WriteRest(text, request_.body_to_send(),
                                                sent);
  }
  // A host may refuse a request before it has read all of it: then its answer
  // is there all the same.
  const Stream::ErrorCode write_error = std::get<0>(sent);
  write_failed_ = write_error.failed();
  HeadScanner::Limits limits;
  limits.max_bytes = context_.options->max_header_bytes;
  limits.max_fields = kMaxFields;
  std::optional<HeadScanner> scanner(limits);
  absl::Status failed;
  for (int interim = 0; failed.ok() && interim <= kMaxInterimAnswers;) {
    absl::StatusOr<std::optional<ResponseHead>> head = TakeHead(&*scanner);
    if (!head.ok()) {
      failed = head.status();
    } else if (!head->has_value()) {
      const auto [error, bytes] = co_await connection.stream.ReadSome(
          connection.input.Space(kHeadRoom));
      connection.input.Took(bytes);
      if (error) {
        failed = absl::UnavailableError(absl::StrCat(
            "connection ended before the answer: ", error.message()));
      } else {
        any_byte_ = true;
      }
    } else if ((*head)->status >= 200) {
      co_return **std::move(head);
    } else {
      interim = (*head)->status == 101 ? kMaxInterimAnswers + 1 : interim + 1;
      scanner.emplace(limits);
    }
  }
  if (failed.ok()) {
    failed = absl::UnavailableError("malformed answer: it never becomes final");
  }
  if (write_failed_ && !any_byte_) {
    failed = absl::UnavailableError(
        absl::StrCat("can't send: ", write_error.message()));
  }
  co_return Failure(failed);
}

absl::StatusOr<std::optional<ResponseHead>> ClientExchange::TakeHead(
    HeadScanner* scanner) {
  InputBuffer& input = lease_.connection->input;
  const absl::StatusOr<std::optional<size_t>> end = scanner->Scan(input.view());
  if (absl::IsResourceExhausted(end.status())) return end.status();
  if (!end.ok()) {
    return absl::UnavailableError(
        absl::StrCat("malformed answer: ", end.status().message()));
  }
  if (!end->has_value()) return std::optional<ResponseHead>();
  absl::StatusOr<ResponseHead> head =
      ParseResponseHead(input.view().substr(0, **end));
  if (!head.ok()) {
    return absl::UnavailableError(
        absl::StrCat("malformed answer: ", head.status().message()));
  }
  input.Consume(**end);
  return std::optional<ResponseHead>(*std::move(head));
}

absl::StatusOr<Framing> ClientExchange::Frame(const ResponseHead& head) const {
  absl::StatusOr<Framing> framing = FrameResponse(
      head.headers, head.minor_version, head.status, request_.method);
  if (framing.ok()) return framing;
  return absl::UnavailableError(
      absl::StrCat("ambiguous answer: ", framing.status().message()));
}

size_t ClientExchange::max_response_bytes() const {
  const size_t most = context_.options->max_response_bytes;
  const size_t own = request_.max_response_bytes;
  return own > 0 ? std::min(most, own) : most;
}

size_t ClientExchange::max_whole_bytes() const {
  return std::min(request_.max_whole_bytes, max_response_bytes());
}

bool ClientExchange::MayHaveRest(const Framing& framing,
                                 const ResponseHead& head) const {
  if (request_.max_whole_bytes == kUnbounded || IsGzip(head.headers) ||
      framing.body == Framing::Body::kNone) {
    return false;
  }
  return framing.body != Framing::Body::kLength ||
         framing.length > max_whole_bytes();
}

asio::awaitable<absl::Status> ClientExchange::ReadBeginning(
    const Framing* framing, Response* response, bool* more) {
  keep_alive_ = framing->keep_alive;
  body_.emplace(&lease_.connection->stream, &lease_.connection->input,
                *framing);
  while (response->body.size() <= max_whole_bytes()) {
    CO_ASSIGN_OR_RETURN(const absl::string_view piece, co_await body_->Next());
    absl::StrAppend(&response->body, piece);
    if (body_->done()) {
      GiveBack(keep_alive_);
      co_return absl::OkStatus();
    }
  }
  *more = true;
  watchdog_->Clear();
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> ClientExchange::ReadAnswer(ResponseHead* head,
                                                         Response* response,
                                                         bool* more) {
  ClientConnection& connection = *lease_.connection;
  CO_ASSIGN_OR_RETURN(const Framing framing, Frame(*head));
  const size_t max_bytes = max_response_bytes();
  Reservation unlimited(nullptr);
  absl::Status status;
  bool given_back = false;
  if (MayHaveRest(framing, *head)) {
    status = co_await ReadBeginning(&framing, response, more);
    given_back = true;
  } else if (const auto taken = TakeBody(&connection.input, framing, max_bytes,
                                         &unlimited, &response->body)) {
    status = *taken;
  } else {
    status = co_await ReadBody(&connection.stream, &connection.input, framing,
                               max_bytes, &unlimited, &response->body);
  }
  if (status.ok() && IsGzip(head->headers) && !response->body.empty()) {
    const std::string encoded = std::move(response->body);
    response->body.clear();
    status = co_await Gunzip(encoded, max_bytes, &unlimited, &response->body);
    head->headers.Remove("content-encoding");
    head->headers.Remove("content-length");
  }
  if (absl::IsResourceExhausted(status)) {
    co_return Annotate(status, "answer is too large");
  }
  if (!status.ok()) {
    co_return absl::UnavailableError(
        absl::StrCat("incomplete answer: ", status.message()));
  }
  response->status = head->status;
  response->headers = std::move(head->headers);
  if (!given_back) GiveBack(framing.keep_alive);
  co_return absl::OkStatus();
}

}  // namespace insula::http
