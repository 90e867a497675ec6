#include "libs/http/client.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/http/alarms.h"
#include "libs/http/body_source.h"
#include "libs/http/client_exchange.h"
#include "libs/http/code_counters.h"
#include "libs/http/connection_pool.h"
#include "libs/http/tls_source.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/sync/strand.h"

namespace insula::http {

namespace asio = boost::asio;

namespace {

using StreamOr = absl::StatusOr<std::unique_ptr<ResponseStream>>;

// For each piece of an answer's rest.
constexpr absl::Duration kRestPatience = absl::Seconds(30);

std::string PeerOf(const ClientRequest& request) {
  return absl::StrCat(request.url.scheme, "://", request.url.HostPort());
}

// Runs `work`; a cancellation of the coroutine becomes CANCELLED. Shows `note`
// what has come of it.
template <typename T, typename Note>
asio::awaitable<absl::StatusOr<T>> Guard(
    asio::awaitable<absl::StatusOr<T>> work, Note note) {
  // A cancellation that comes between two operations cancels neither: Asio
  // makes it an exception at the next one.
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(true);
  absl::StatusOr<T> result = absl::InternalError("not sent");
  try {
    result = co_await std::move(work);
  } catch (const boost::system::system_error& error) {
    result = absl::InternalError(error.what());
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
  const auto state = co_await asio::this_coro::cancellation_state;
  if (!result.ok() && state.cancelled() != asio::cancellation_type::none) {
    result = absl::CancelledError("the request was cancelled");
  }
  note(result);
  co_return result;
}

template <typename T>
asio::awaitable<absl::StatusOr<T>> Guard(
    asio::awaitable<absl::StatusOr<T>> work) {
  return Guard(std::move(work), [](const absl::StatusOr<T>&) {});
}

}  // namespace

// The exchange uses what stands above it.
struct ResponseStream::State {
  std::shared_ptr<Client::Impl> client;
  ClientRequest request;
  std::shared_ptr<ClientExchange> exchange;
  ResponseHead head;
};

namespace {

// What is left of an answer. Uses what stands above it.
class RestOfAnswer : public BodySource {
 public:
  RestOfAnswer(std::shared_ptr<const void> client,
               std::shared_ptr<ClientExchange> exchange, std::string peer)
      : client_(std::move(client)),
        exchange_(std::move(exchange)),
        peer_(std::move(peer)) {}

  asio::awaitable<absl::StatusOr<absl::string_view>> Next() override {
    absl::StatusOr<absl::string_view> piece =
        co_await Guard(exchange_->Read(absl::Now() + kRestPatience));
    if (!piece.ok()) co_return Annotate(piece.status(), peer_);
    co_return piece;
  }

 private:
  const std::shared_ptr<const void> client_;
  const std::shared_ptr<ClientExchange> exchange_;
  const std::string peer_;
};

}  // namespace

class Client::Impl : public std::enable_shared_from_this<Client::Impl> {
 public:
  Impl(ClientOptions options, asio::any_io_executor executor,
       metrics::Registry* metrics);

  asio::awaitable<absl::StatusOr<Response>> Send(ClientRequest request,
                                                 absl::Time deadline);
  asio::awaitable<StreamOr> Open(std::unique_ptr<ResponseStream::State> state,
                                 absl::Time deadline);
  void Close() { pool_->Close(); }

 private:
  asio::awaitable<absl::StatusOr<Response>> SendOnStrand(ClientRequest* request,
                                                         absl::Time deadline);
  // Once more if the host does not take them.
  asio::awaitable<absl::StatusOr<Response>> ExchangeWithCredentials(
      ClientRequest* request, absl::Time deadline);
  asio::awaitable<absl::StatusOr<Response>> Exchange(
      const ClientRequest* request, absl::Time deadline);
  bool IsCovered(const ClientRequest& request) const;
  asio::awaitable<absl::Status> Authorize(ClientRequest* request,
                                          absl::Time deadline);
  asio::awaitable<absl::StatusOr<ResponseHead>> OpenExchange(
      ResponseStream::State* state, absl::Time deadline);
  // `strand` is the caller's.
  absl::StatusOr<std::shared_ptr<ClientExchange>> NewExchange(
      const ClientRequest* request, absl::Time deadline,
      asio::any_io_executor strand);

  const ClientOptions options_;
  const asio::any_io_executor executor_;
  const std::shared_ptr<ConnectionPool> pool_;
  const std::shared_ptr<Alarms> alarms_;
  metrics::Gauge& connections_;
  metrics::Histogram& seconds_;
  CodeCounters requests_;
  TlsSource tls_;  // Read with the first https URL.
  std::map<std::string, TlsSource> host_tls_;
};

Client::Impl::Impl(ClientOptions options, asio::any_io_executor executor,
                   metrics::Registry* metrics)
    : options_(std::move(options)),
      executor_(std::move(executor)),
      pool_(std::make_shared<ConnectionPool>(
          executor_, options_.max_connections_per_host, options_.idle_timeout)),
      alarms_(std::make_shared<Alarms>(executor_)),
      connections_(metrics->AddGauge("insula_http_client_connections",
                                     "Open connections, also idle ones.",
                                     {{"client", options_.name}})),
      seconds_(metrics->AddHistogram(
          "insula_http_client_request_seconds",
          "From a request to its whole answer, or to its failure.",
          {{"client", options_.name}})),
      requests_(metrics, "insula_http_client_requests_total",
                "Requests by HTTP status, or by what went wrong.",
                {{"client", options_.name}}),
      tls_(options_.tls.value_or(ClientTls()), metrics) {
  for (const auto& [host, tls] : options_.host_tls) {
    host_tls_.try_emplace(host, tls, metrics);
  }
}

asio::awaitable<absl::StatusOr<Response>> Client::Impl::Send(
    ClientRequest request, absl::Time deadline) {
  const auto self = shared_from_this();
  const auto executor = co_await asio::this_coro::executor;
  if (sync::IsStrand(executor))
    co_return co_await SendOnStrand(&request, deadline);
  request.max_whole_bytes = std::numeric_limits<size_t>::max();
  // The deadline and the operations it cancels must not run at the same time.
  const asio::any_io_executor strand = sync::MakeStrand(executor);
  co_return co_await asio::co_spawn(strand, SendOnStrand(&request, deadline),
                                    asio::use_awaitable);
}

asio::awaitable<absl::StatusOr<Response>> Client::Impl::SendOnStrand(
    ClientRequest* request, absl::Time deadline) {
  const absl::Time started = absl::Now();
  asio::awaitable<absl::StatusOr<Response>> work =
      IsCovered(*request) ? ExchangeWithCredentials(request, deadline)
                          : Exchange(request, deadline);
  return Guard(std::move(work),
               [this, started](const absl::StatusOr<Response>& result) {
                 if (result.ok()) {
                   requests_.Increment(result->status);
                 } else {
                   requests_.Increment(result.status().code());
                 }
                 seconds_.Observe(absl::ToDoubleSeconds(absl::Now() - started));
               });
}

asio::awaitable<absl::Status> Client::Impl::Authorize(ClientRequest* request,
                                                      absl::Time deadline) {
  const absl::Status status =
      co_await options_.authorizer->Authorize(request, deadline);
  if (!status.ok()) co_return Annotate(status, PeerOf(*request));
  co_return status;
}

bool Client::Impl::IsCovered(const ClientRequest& request) const {
  return options_.authorizer != nullptr && options_.authorizer->Covers(request);
}

asio::awaitable<absl::StatusOr<Response>> Client::Impl::ExchangeWithCredentials(
    ClientRequest* request, absl::Time deadline) {
  const Headers bare = request->headers;
  CO_RETURN_IF_ERROR(co_await Authorize(request, deadline));
  absl::StatusOr<Response> result = co_await Exchange(request, deadline);
  if (!result.ok() || result->status != 401) co_return result;
  const bool renewed = co_await options_.authorizer->Renew(request, deadline);
  if (!renewed) co_return result;
  request->headers = bare;
  CO_RETURN_IF_ERROR(co_await Authorize(request, deadline));
  co_return co_await Exchange(request, deadline);
}

asio::awaitable<absl::StatusOr<Response>> Client::Impl::Exchange(
    const ClientRequest* request, absl::Time deadline) {
  const asio::any_io_executor strand = co_await asio::this_coro::executor;
  CO_ASSIGN_OR_RETURN(const std::shared_ptr<ClientExchange> exchange,
                      NewExchange(request, deadline, strand));
  const bool whole =
      request->max_whole_bytes == std::numeric_limits<size_t>::max();
  absl::StatusOr<ResponseHead> head =
      co_await exchange->Ask(/*accept_gzip=*/whole);
  if (!head.ok()) co_return Annotate(head.status(), PeerOf(*request));
  Response response;
  bool more = false;
  const absl::Status read =
      co_await exchange->ReadAnswer(&*head, &response, &more);
  if (!read.ok()) {
    co_return Annotate(exchange->Failure(read), PeerOf(*request));
  }
  if (more) {
    response.rest = std::make_shared<RestOfAnswer>(shared_from_this(), exchange,
                                                   PeerOf(*request));
  }
  co_return response;
}

asio::awaitable<StreamOr> Client::Impl::Open(
    std::unique_ptr<ResponseStream::State> state, absl::Time deadline) {
  absl::StatusOr<ResponseHead> head =
      co_await Guard(OpenExchange(state.get(), deadline));
  if (!head.ok()) {
    requests_.Increment(head.status().code());
    co_return head.status();
  }
  requests_.Increment(head->status);
  state->head = *std::move(head);
  co_return std::unique_ptr<ResponseStream>(
      new ResponseStream(std::move(state)));
}

asio::awaitable<absl::StatusOr<ResponseHead>> Client::Impl::OpenExchange(
    ResponseStream::State* state, absl::Time deadline) {
  const asio::any_io_executor strand = co_await asio::this_coro::executor;
  if (!sync::IsStrand(strand)) {
    co_return absl::InternalError("a stream was not opened on a strand");
  }
  if (IsCovered(state->request)) {
    CO_RETURN_IF_ERROR(co_await Authorize(&state->request, deadline));
  }
  CO_ASSIGN_OR_RETURN(state->exchange,
                      NewExchange(&state->request, deadline, strand));
  absl::StatusOr<ResponseHead> head = co_await state->exchange->Open();
  if (!head.ok()) co_return Annotate(head.status(), PeerOf(state->request));
  co_return head;
}

absl::StatusOr<std::shared_ptr<ClientExchange>> Client::Impl::NewExchange(
    const ClientRequest* request, absl::Time deadline,
    asio::any_io_executor strand) {
  RETURN_IF_ERROR(CheckRequest(*request));
  ExchangeContext context = {&options_,     executor_, pool_.get(), alarms_,
                             &connections_, nullptr,   "",          nullptr};
  context.proxy = options_.proxy.For(request->url);
  if (request->url.scheme == "https") {
    const std::string host = request->url.HostPort();
    const auto own = host_tls_.find(host);
    TlsSource& source = own == host_tls_.end() ? tls_ : own->second;
    absl::StatusOr<Stream::TlsContext> tls = source.Get();
    if (!tls.ok()) return Annotate(tls.status(), PeerOf(*request));
    context.tls = *tls;
    if (own != host_tls_.end()) {
      context.server_name = options_.host_tls.at(host).server_name;
    } else if (options_.tls.has_value()) {
      context.server_name = options_.tls->server_name;
    }
    if (context.server_name.empty()) context.server_name = request->url.host;
  }
  return std::make_shared<ClientExchange>(std::move(context), request, deadline,
                                          std::move(strand));
}

ResponseStream::ResponseStream(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

ResponseStream::~ResponseStream() = default;

int ResponseStream::status() const { return state_->head.status; }

const Headers& ResponseStream::headers() const { return state_->head.headers; }

asio::awaitable<absl::StatusOr<absl::string_view>> ResponseStream::Read(
    absl::Time deadline) {
  absl::StatusOr<absl::string_view> piece =
      co_await Guard(state_->exchange->Read(deadline));
  if (!piece.ok()) co_return Annotate(piece.status(), PeerOf(state_->request));
  co_return piece;
}

Client::Client(ClientOptions options, asio::any_io_executor executor,
               metrics::Registry* metrics)
    : impl_(std::make_shared<Impl>(std::move(options), std::move(executor),
                                   metrics)) {}

Client::~Client() { impl_->Close(); }

asio::awaitable<absl::StatusOr<Response>> Client::Send(ClientRequest request,
                                                       absl::Time deadline) {
  // Named, so that the client may be gone before the answer comes.
  const std::shared_ptr<Impl> impl = impl_;
  return impl->Send(std::move(request), deadline);
}

asio::awaitable<StreamOr> Client::Open(ClientRequest request,
                                       absl::Time deadline) {
  auto state = std::make_unique<ResponseStream::State>();
  state->client = impl_;
  state->request = std::move(request);
  // Kept by what it is given.
  return impl_->Open(std::move(state), deadline);
}

}  // namespace insula::http
