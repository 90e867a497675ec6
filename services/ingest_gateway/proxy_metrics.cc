#include "services/ingest_gateway/proxy_metrics.h"

#include <vector>

namespace insula::ingest_gateway {
namespace {

const std::vector<double>& ProcessingBuckets() {
  static const auto* const buckets =
      new std::vector<double>{10, 50, 100, 250, 500, 800, 1200, 2000};
  return *buckets;
}

}  // namespace

ProxyMetrics::ProxyMetrics(metrics::Registry* registry)
    : failures(registry->AddCounter(
          "open_metrics_proxy_failures",
          "Parts that a store could not take; as open-metrics-proxy.")),
      labels(registry->AddCounter(
          "open_metrics_proxy_labels",
          "Labels looked at to find a tenant: each of the claim rule, for each "
          "series; as open-metrics-proxy.")),
      tenants(registry->AddCounter(
          "open_metrics_proxy_tenants",
          "Tenants found for series; as open-metrics-proxy.")),
      metadata(registry->AddCounter(
          "open_metrics_proxy_metadata",
          "Metadata entries received; as open-metrics-proxy.")),
      processing_ms_(registry->AddHistogram(
          "open_metrics_proxy_processing_ms",
          "Milliseconds from a write to its answer; as open-metrics-proxy.", {},
          ProcessingBuckets())),
      registry_(registry) {}

void ProxyMetrics::NoteRequest(absl::string_view tenant, int64_t series,
                               bool taken) {
  OfTenant of_tenant;
  {
    sync::MutexLock lock(&mutex_);
    OfTenant& known = by_tenant_[tenant];
    if (known.requests == nullptr) {
      const metrics::Labels label = {{"tenant_id", std::string(tenant)}};
      known.requests = &registry_->AddCounter(
          "open_metrics_proxy_requests",
          "Parts sent to the store of a tenant, or queued for it; as "
          "open-metrics-proxy.",
          label);
      known.series = &registry_->AddCounter(
          "open_metrics_proxy_series",
          "Series that the store of a tenant took, or the queue for it; as "
          "open-metrics-proxy.",
          label);
    }
    of_tenant = known;
  }
  of_tenant.requests->Increment();
  if (taken) of_tenant.series->Increment(static_cast<double>(series));
}

void ProxyMetrics::NoteProcessed(absl::Duration time) {
  processing_ms_.Observe(absl::ToDoubleMilliseconds(time));
}

}  // namespace insula::ingest_gateway
