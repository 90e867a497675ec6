#include "libs/http/client.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/http/client_exchange.h"
#include "libs/http/code_counters.h"
#include "libs/http/connection_pool.h"
#include "libs/http/tls_context.h"
#include "libs/status/annotate.h"

namespace insula::http {

namespace asio = boost::asio;

namespace {

// Whether what runs on `executor` never runs twice at the same time.
bool IsStrand(const asio::any_io_executor& executor) {
  return executor.target<asio::strand<asio::any_io_executor>>() != nullptr ||
         executor.target<asio::strand<asio::thread_pool::executor_type>>() !=
             nullptr ||
         executor.target<asio::strand<asio::io_context::executor_type>>() !=
             nullptr;
}

}  // namespace

class Client::Impl : public std::enable_shared_from_this<Client::Impl> {
 public:
  Impl(ClientOptions options, asio::any_io_executor executor,
       metrics::Registry* metrics);

  asio::awaitable<absl::StatusOr<Response>> Send(ClientRequest request,
                                                 absl::Time deadline);
  void Close() { pool_->Close(); }

 private:
  asio::awaitable<absl::StatusOr<Response>> SendOnStrand(ClientRequest* request,
                                                         absl::Time deadline);
  asio::awaitable<absl::StatusOr<Response>> Exchange(
      const ClientRequest* request, absl::Time deadline);
  absl::StatusOr<Stream::TlsContext> Tls();

  const ClientOptions options_;
  const asio::any_io_executor executor_;
  const std::shared_ptr<ConnectionPool> pool_;
  metrics::Gauge& connections_;
  metrics::Histogram& seconds_;
  CodeCounters requests_;

  std::once_flag tls_once_;
  absl::StatusOr<Stream::TlsContext> tls_ = absl::UnknownError("not loaded");
};

Client::Impl::Impl(ClientOptions options, asio::any_io_executor executor,
                   metrics::Registry* metrics)
    : options_(std::move(options)),
      executor_(std::move(executor)),
      pool_(std::make_shared<ConnectionPool>(
          executor_, options_.max_connections_per_host, options_.idle_timeout)),
      connections_(metrics->AddGauge("insula_http_client_connections",
                                     "Open connections, also idle ones.",
                                     {{"client", options_.name}})),
      seconds_(metrics->AddHistogram(
          "insula_http_client_request_seconds",
          "From a request to its whole answer, or to its failure.",
          {{"client", options_.name}})),
      requests_(metrics, "insula_http_client_requests_total",
                "Requests by HTTP status, or by what went wrong.",
                {{"client", options_.name}}) {}

absl::StatusOr<Stream::TlsContext> Client::Impl::Tls() {
  // Loading the system's CAs takes long; most clients never need them.
  std::call_once(tls_once_, [this] {
    tls_ = MakeClientContext(options_.tls.value_or(ClientTls()));
  });
  return tls_;
}

asio::awaitable<absl::StatusOr<Response>> Client::Impl::Send(
    ClientRequest request, absl::Time deadline) {
  const auto self = shared_from_this();
  const auto executor = co_await asio::this_coro::executor;
  if (IsStrand(executor)) co_return co_await SendOnStrand(&request, deadline);
  // The deadline and the operations it cancels must not run at the same time.
  const asio::any_io_executor strand = asio::make_strand(executor);
  co_return co_await asio::co_spawn(strand, SendOnStrand(&request, deadline),
                                    asio::use_awaitable);
}

asio::awaitable<absl::StatusOr<Response>> Client::Impl::SendOnStrand(
    ClientRequest* request, absl::Time deadline) {
  const absl::Time started = absl::Now();
  // A cancellation that comes between two operations cancels neither: Asio
  // makes it an exception at the next one.
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(true);
  absl::StatusOr<Response> result = absl::InternalError("not sent");
  try {
    result = co_await Exchange(request, deadline);
  } catch (const boost::system::system_error& error) {
    result = absl::InternalError(error.what());
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
  const auto state = co_await asio::this_coro::cancellation_state;
  if (!result.ok() && state.cancelled() != asio::cancellation_type::none) {
    result = absl::CancelledError("the request was cancelled");
  }
  if (result.ok()) {
    requests_.Increment(result->status);
  } else {
    requests_.Increment(result.status().code());
  }
  seconds_.Observe(absl::ToDoubleSeconds(absl::Now() - started));
  co_return result;
}

asio::awaitable<absl::StatusOr<Response>> Client::Impl::Exchange(
    const ClientRequest* request, absl::Time deadline) {
  if (absl::Status status = CheckRequest(*request); !status.ok()) {
    co_return status;
  }
  const std::string peer =
      absl::StrCat(request->url.scheme, "://", request->url.HostPort());
  ExchangeContext context = {&options_, executor_, pool_.get(), &connections_,
                             nullptr};
  if (request->url.scheme == "https") {
    absl::StatusOr<Stream::TlsContext> tls = Tls();
    if (!tls.ok()) co_return Annotate(tls.status(), peer);
    context.tls = *tls;
  }
  const asio::any_io_executor strand = co_await asio::this_coro::executor;
  auto exchange = std::make_shared<ClientExchange>(std::move(context), request,
                                                   deadline, strand);
  absl::StatusOr<Response> result = co_await exchange->Run();
  if (!result.ok()) co_return Annotate(result.status(), peer);
  co_return result;
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

}  // namespace insula::http
