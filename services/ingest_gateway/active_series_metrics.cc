#include "services/ingest_gateway/active_series_metrics.h"

#include <cstdint>
#include <map>
#include <utility>

#include "absl/time/time.h"

namespace insula::ingest_gateway {

ActiveSeriesMetrics::ActiveSeriesMetrics(
    limits::ActiveSeriesOfTenants* active_series,
    std::function<std::shared_ptr<const tenancy::Snapshot>()> snapshot,
    const Clock* clock, metrics::Registry* registry)
    : active_series_(active_series),
      snapshot_(std::move(snapshot)),
      clock_(clock),
      registry_(registry),
      bytes_(registry->AddGauge("ingest_gateway_active_series_bytes",
                                "Memory of the sets of active series.")),
      uncounted_(registry->AddCounter(
          "ingest_gateway_series_uncounted_total",
          "New series for which that memory had no room; no limit held for "
          "them.")) {
  hook_ = registry->OnCollect([this] { Update(); });
}

void ActiveSeriesMetrics::Update() {
  bytes_.Set(static_cast<double>(active_series_->bytes()));
  uncounted_.Increment(static_cast<double>(active_series_->uncounted()) -
                       uncounted_.Value());
  const auto snapshot = snapshot_();
  if (snapshot == nullptr) return;
  const std::map<std::string, uint64_t> counts =
      active_series_->Counts(clock_->Now());
  for (const auto& [tenant, gauge] : gauges_) gauge->Set(0);
  snapshot->ForEachTenant([&](const tenancy::Tenant& tenant) {
    const auto it = counts.find(tenant.uid);
    if (it == counts.end()) return;
    metrics::Gauge*& gauge = gauges_[tenant.id.value()];
    if (gauge == nullptr) {
      gauge = &registry_->AddGauge(
          "ingest_gateway_active_series",
          "Series of a tenant seen in the last 10 to 20 minutes.",
          {{"tenant", tenant.id.value()}});
    }
    gauge->Set(static_cast<double>(it->second));
  });
}

}  // namespace insula::ingest_gateway
