#include "services/federation_pusher/push.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/endpoints.h"
#include "services/federation_pusher/run.h"

namespace insula::federation_pusher {
namespace {

namespace asio = boost::asio;
using Kind = PushVerdict::Kind;

asio::awaitable<void> Sleep(absl::Duration wait) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_after(absl::ToChronoNanoseconds(wait));
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

int64_t SamplesOf(const std::vector<Batch>& batches) {
  int64_t samples = 0;
  for (const Batch& batch : batches) samples += batch.samples;
  return samples;
}

}  // namespace

http::ClientOptions GatewayClientOptions(const Config& config) {
  http::ClientOptions options;
  options.name = "gateway";
  // It answers a write with a few lines.
  options.max_response_bytes = 64 << 10;
  // Each job that runs has at most one request on its way.
  options.max_connections_per_host = config.max_parallel_jobs;
  if (!config.gateway.ca_file.empty()) {
    options.tls.emplace().ca_file = config.gateway.ca_file;
  }
  return options;
}

Pusher::Pusher(Options options, TokenSource token, http::Client* client,
               const Clock* clock, Metrics* metrics)
    : options_(std::move(options)),
      token_(std::move(token)),
      client_(client),
      clock_(clock),
      metrics_(metrics) {}

asio::awaitable<absl::Status> Pusher::Push(std::string tenant,
                                           const std::vector<Batch>* batches,
                                           absl::Time deadline,
                                           int64_t* delivered) const {
  int64_t refused = 0;
  std::string first;  // What was refused first.
  for (const Batch& batch : *batches) {
    CO_ASSIGN_OR_RETURN(const PushVerdict verdict,
                        co_await PushOne(tenant, &batch, deadline));
    if (verdict.kind == Kind::kLater) {
      co_return Failure(
          Result::kGatewayUnavailable,
          absl::StrCat(
              *delivered, " of ", SamplesOf(*batches),
              " samples were delivered in the job's time: ", verdict.detail));
    }
    const int64_t accepted = batch.samples - verdict.refused;
    *delivered += accepted;
    refused += verdict.refused;
    metrics_->delivered_samples.Increment(static_cast<double>(accepted));
    metrics_->refused_samples.Increment(static_cast<double>(verdict.refused));
    if (first.empty()) first = verdict.detail;
    if (verdict.kind == Kind::kHopeless) break;
  }
  if (refused == 0) co_return absl::OkStatus();
  co_return Failure(
      *delivered > 0 ? Result::kPartlyRefused : Result::kGatewayRefused,
      absl::StrCat(*delivered, " of ", SamplesOf(*batches),
                   " samples were delivered: ", first));
}

asio::awaitable<absl::StatusOr<PushVerdict>> Pusher::PushOne(
    std::string tenant, const Batch* batch, absl::Time deadline) const {
  Backoff backoff(options_.backoff);
  for (int attempt = 0;; ++attempt) {
    CO_ASSIGN_OR_RETURN(PushVerdict verdict,
                        co_await Try(tenant, batch, attempt, deadline));
    if (verdict.kind != Kind::kLater) co_return verdict;
    const absl::Duration wait = std::max(verdict.wait, backoff.Next());
    if (clock_->Now() + wait >= deadline) co_return verdict;
    co_await Sleep(wait);
    metrics_->push_retries.Increment();
  }
}

asio::awaitable<absl::StatusOr<PushVerdict>> Pusher::Try(
    std::string tenant, const Batch* batch, int attempt,
    absl::Time deadline) const {
  CO_ASSIGN_OR_RETURN(const std::string token, co_await token_());
  http::ClientRequest request;
  request.method = "POST";
  request.url = options_.url;
  request.headers = {{"Content-Type", "application/x-protobuf"},
                     {"Content-Encoding", "snappy"},
                     {"X-Prometheus-Remote-Write-Version", "0.1.0"},
                     {"User-Agent", options_.user_agent},
                     {std::string(tenancy::kDefaultTenantHeader), tenant}};
  if (!token.empty()) {
    request.headers.Set("Authorization", absl::StrCat("Bearer ", token));
  }
  if (attempt > 0) {
    request.headers.Set("Retry-Attempt", absl::StrCat(attempt));
  }
  request.body = batch->body;
  const absl::Time until =
      std::min(deadline, clock_->Now() + options_.try_timeout);
  const absl::StatusOr<http::Response> answer =
      co_await client_->Send(std::move(request), until);
  co_return JudgePush(answer, batch->samples, clock_->Now());
}

}  // namespace insula::federation_pusher
