// Shows how many series of each tenant are active.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "libs/limits/active_series.h"
#include "libs/metrics/metrics.h"
#include "libs/tenancy/snapshot.h"
#include "libs/time/clock.h"

namespace insula::ingest_gateway {

// Sets its gauges before each exposition; only tenants of the registry that had
// active series get one.
class ActiveSeriesMetrics {
 public:
  // All of them outlive this; `registry` need not.
  ActiveSeriesMetrics(
      limits::ActiveSeriesOfTenants* active_series,
      std::function<std::shared_ptr<const tenancy::Snapshot>()> snapshot,
      const Clock* clock, metrics::Registry* registry);

 private:
  void Update();

  limits::ActiveSeriesOfTenants* const active_series_;
  const std::function<std::shared_ptr<const tenancy::Snapshot>()> snapshot_;
  const Clock* const clock_;
  metrics::Registry* const registry_;
  metrics::Gauge& bytes_;
  metrics::Counter& uncounted_;
  // Of Update(), which does not overlap with itself.
  absl::flat_hash_map<std::string, metrics::Gauge*> gauges_;
  metrics::CollectHook hook_;
};

}  // namespace insula::ingest_gateway
