// The metrics of the ingest-gateway.
#pragma once

#include <array>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "libs/metrics/metrics.h"
#include "libs/remote_write/reason.h"
#include "libs/sync/mutex.h"

namespace insula::ingest_gateway {

// Requests and connections are counted by the HTTP library. Thread-safe.
class Metrics {
 public:
  explicit Metrics(metrics::Registry* registry);

  // Samples that a tenant's store took.
  metrics::Counter& SamplesAccepted(absl::string_view tenant)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Samples of a tenant that were made durable in the queue.
  metrics::Counter& SamplesQueued(absl::string_view tenant)
      ABSL_LOCKS_EXCLUDED(mutex_);
  metrics::Counter& SamplesRefused(remote_write::Reason reason);
  // Answers of upstreams by class: 2xx, 3xx, 4xx, 429, 5xx, and `error` when
  // none came.
  metrics::Counter& UpstreamRequests(absl::string_view code);

  metrics::Counter& samples_received;
  metrics::Counter& metadata_dropped;
  metrics::Counter& fields_dropped;
  metrics::Counter& exemplars_joined;
  // Parts that a store of remote write 2.0 got as 1.0, by why.
  metrics::Counter& fallbacks_unsupported;
  metrics::Counter& fallbacks_unconfirmed;
  metrics::Counter& fallbacks_no_place;
  metrics::Counter& requests_malformed;
  metrics::Counter& requests_passed_through;
  metrics::Counter& series_known;
  metrics::Counter& retries_received;
  metrics::Counter& parts_skipped;
  metrics::Counter& parts_forgotten;
  metrics::Histogram& split_seconds;
  metrics::Histogram& upstream_seconds;

 private:
  metrics::Registry* const registry_;
  std::array<metrics::Counter*, remote_write::kReasonCount> refused_;
  sync::Mutex mutex_;
  // Tenants of the registry only, so there are no more than it has.
  absl::flat_hash_map<std::string, metrics::Counter*> accepted_
      ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, metrics::Counter*> queued_
      ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, metrics::Counter*> upstream_;  // Fixed.
};

}  // namespace insula::ingest_gateway
