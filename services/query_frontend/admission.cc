#include "services/query_frontend/admission.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "libs/time/clock.h"
#include "services/query_frontend/query_limits.h"

namespace insula::query_frontend {
namespace {

namespace asio = boost::asio;
using fair_queue::FairQueue;

constexpr absl::string_view kRetryAfter = "insula/retry_after";
// A turn comes as soon as a query has ended, which nobody knows.
constexpr absl::Duration kQueueRetry = absl::Seconds(1);

bool IsQuery(Endpoint endpoint) {
  switch (endpoint) {
    case Endpoint::kQuery:
    case Endpoint::kQueryRange:
    case Endpoint::kQueryExemplars:
    case Endpoint::kFederate:
    case Endpoint::kRead:
      return true;
    default:
      return false;
  }
}

FairQueue::Options OptionsOf(const QueueConfig& config, std::string name) {
  FairQueue::Options options;
  options.name = std::move(name);
  options.limits.max_concurrent = config.max_concurrent;
  options.limits.max_queued = config.max_queued;
  options.max_wait = config.max_wait;
  return options;
}

}  // namespace

void QueueConfig::Describe(config::Fields& fields) {
  fields.Add("max_concurrent", max_concurrent,
             "Queries that stores are asked at once; others wait. As many "
             "requests of other kinds, beside them.");
  fields.Add("max_queued", max_queued,
             "Most that wait of all tenants; then the tenant with most waiting "
             "makes room, 429.");
  fields.Add("max_wait", max_wait, "Longest wait for a turn; then 503.");
}

absl::Status QueueConfig::Validate() const {
  for (const auto& [key, value] :
       {std::pair<absl::string_view, int>("queue.max_concurrent",
                                          max_concurrent),
        std::pair<absl::string_view, int>("queue.max_queued", max_queued)}) {
    if (value < 1 || value > 1'000'000) {
      return absl::InvalidArgumentError(
          absl::StrCat(key, ": must be 1 to 1000000, is ", value));
    }
  }
  if (max_wait < absl::Milliseconds(1)) {
    return absl::InvalidArgumentError("queue.max_wait: must be at least 1ms");
  }
  return absl::OkStatus();
}

absl::Status AskLater(absl::string_view why, absl::Duration retry_after) {
  absl::Status status = absl::ResourceExhaustedError(why);
  status.SetPayload(kRetryAfter, absl::Cord(absl::FormatDuration(retry_after)));
  return status;
}

std::optional<absl::Duration> RetryAfterOf(const absl::Status& status) {
  const absl::optional<absl::Cord> text = status.GetPayload(kRetryAfter);
  absl::Duration wait;
  if (!text.has_value() || !absl::ParseDuration(std::string(*text), &wait)) {
    return std::nullopt;
  }
  return wait;
}

Admission::Admission(const QueueConfig& config, metrics::Registry* registry,
                     Metrics* metrics)
    : metrics_(*metrics),
      queries_(OptionsOf(config, "queries"), registry),
      metadata_(OptionsOf(config, "metadata"), registry) {}

absl::Status Admission::CheckRates(Endpoint endpoint,
                                   const tenancy::Tenant& tenant,
                                   const registry::v1::Limits& limits,
                                   const http::Request& request) {
  const bool is_query =
      endpoint == Endpoint::kQuery || endpoint == Endpoint::kQueryRange;
  if (is_query ? !limits.has_query_rates() : !limits.has_api_rates()) {
    return absl::OkStatus();
  }
  // Two tenants behind one address do not share what each may send.
  const auto refused = rates_.Take(
      is_query ? fair_queue::RouteClass::kQuery : fair_queue::RouteClass::kApi,
      ZonesOf(is_query ? limits.query_rates() : limits.api_rates()), tenant.uid,
      request.target, absl::StrCat(tenant.uid, request.peer.address),
      SteadyClock::Get()->Now());
  if (!refused.has_value()) return absl::OkStatus();
  metrics_.refused_rate.Increment();
  const absl::string_view zone = refused->zone == "uri" ? "url" : refused->zone;
  return AskLater(
      absl::StrCat("insula: tenant ", tenant.id.value(),
                   " asks more often than the limit ",
                   is_query ? "query_rates." : "api_rates.", zone,
                   " allows; ask less often or have Limits.",
                   is_query ? "query_rates." : "api_rates.", zone, " raised"),
      refused->retry_after);
}

FairQueue& Admission::QueueOf(Endpoint endpoint) {
  return IsQuery(endpoint) ? queries_ : metadata_;
}

std::optional<Admission::Place> Admission::TryEnter(
    Endpoint endpoint, absl::string_view tenant_uid,
    fair_queue::TenantLimits limits, double cost) {
  return QueueOf(endpoint).TryEnter(tenant_uid, limits, cost);
}

asio::awaitable<absl::StatusOr<Admission::Place>> Admission::Enter(
    Endpoint endpoint, std::string tenant_id, std::string tenant_uid,
    fair_queue::TenantLimits limits, double cost, absl::Time deadline) {
  absl::StatusOr<Place> place = co_await QueueOf(endpoint).Enter(
      std::move(tenant_uid), limits, cost, deadline);
  if (place.ok() || absl::IsCancelled(place.status())) co_return place;
  metrics_.refused_queue.Increment();
  const std::string why = absl::StrCat("insula: tenant ", tenant_id, ": ",
                                       place.status().message());
  if (absl::IsResourceExhausted(place.status())) {
    co_return AskLater(why, kQueueRetry);
  }
  co_return absl::Status(place.status().code(), why);
}

}  // namespace insula::query_frontend
