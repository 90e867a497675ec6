// The metrics of open-metrics-proxy, by the names that its dashboards have.
#pragma once

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/metrics/metrics.h"
#include "libs/sync/mutex.h"

namespace insula::ingest_gateway {

// `tenant_id` is the one open label, and has tenants of the registry only.
// Thread-safe.
class ProxyMetrics {
 public:
  explicit ProxyMetrics(metrics::Registry* registry);

  // A part was sent to the store of a tenant, which took it or not.
  void NoteRequest(absl::string_view tenant, int64_t series, bool taken)
      ABSL_LOCKS_EXCLUDED(mutex_);

  void NoteProcessed(absl::Duration time);

  metrics::Counter& failures;
  metrics::Counter& labels;
  metrics::Counter& tenants;
  metrics::Counter& metadata;

 private:
  struct OfTenant {
    metrics::Counter* requests = nullptr;
    metrics::Counter* series = nullptr;
  };

  metrics::Histogram& processing_ms_;
  metrics::Registry* const registry_;
  sync::Mutex mutex_;
  absl::flat_hash_map<std::string, OfTenant> by_tenant_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::ingest_gateway
