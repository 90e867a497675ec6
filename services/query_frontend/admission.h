// Who may ask now, and who has to wait.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/config/config.h"
#include "libs/fair_queue/fair_queue.h"
#include "libs/fair_queue/request_rates.h"
#include "libs/http/message.h"
#include "libs/metrics/metrics.h"
#include "libs/tenancy/snapshot.h"
#include "services/query_frontend/endpoint.h"
#include "services/query_frontend/metrics.h"

namespace insula::query_frontend {

// How many requests of all tenants together wait and run.
struct QueueConfig {
  int max_concurrent = 100;
  int max_queued = 10'000;
  absl::Duration max_wait = absl::Seconds(30);

  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

// RESOURCE_EXHAUSTED of a caller who has to wait: 429 with Retry-After.
absl::Status AskLater(absl::string_view why, absl::Duration retry_after);
// For how long; nothing if `status` is no AskLater().
std::optional<absl::Duration> RetryAfterOf(const absl::Status& status);

// Queries, and what hands out series, have one queue; everything else, which is
// quick, has another one of the same limits, so that it does not wait behind
// them. Thread-safe.
class Admission {
 public:
  using Place = fair_queue::FairQueue::Place;

  // `registry` outlives this and all places, `metrics` this.
  Admission(const QueueConfig& config, metrics::Registry* registry,
            Metrics* metrics);

  // AskLater() if `tenant`, whose limits are `limits`, has asked too often.
  absl::Status CheckRates(Endpoint endpoint, const tenancy::Tenant& tenant,
                          const registry::v1::Limits& limits,
                          const http::Request& request);

  // A place among those of a tenant and all, if one is free.
  std::optional<Place> TryEnter(Endpoint endpoint, absl::string_view tenant_uid,
                                fair_queue::TenantLimits limits, double cost);
  // Waits for a place. AskLater() if too many
  // wait already, UNAVAILABLE if it takes too long, CANCELLED if the calling
  // coroutine was. The caller runs on a strand.
  boost::asio::awaitable<absl::StatusOr<Place>> Enter(
      Endpoint endpoint, std::string tenant_id, std::string tenant_uid,
      fair_queue::TenantLimits limits, double cost, absl::Time deadline);

 private:
  fair_queue::FairQueue& QueueOf(Endpoint endpoint);

  Metrics& metrics_;
  fair_queue::RequestRates rates_;
  fair_queue::FairQueue queries_;
  fair_queue::FairQueue metadata_;
};

}  // namespace insula::query_frontend
