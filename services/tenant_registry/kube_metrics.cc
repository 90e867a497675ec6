#include "services/tenant_registry/kube_metrics.h"

#include "absl/strings/string_view.h"

namespace insula::tenant_registry {
namespace {

metrics::Counter& StatusWrites(const char* result,
                               metrics::Registry* registry) {
  return registry->AddCounter(
      "tenant_registry_kube_status_writes_total",
      "Statuses written to Kubernetes objects, by how that ended.",
      {{"result", result}});
}

}  // namespace

KubeMetrics::KubeMetrics(metrics::Registry* registry)
    : synced(registry->AddGauge(
          "tenant_registry_kube_synced",
          "1 once all Kubernetes objects have been listed; until then none of "
          "the registry's objects is deleted for lack of one.")),
      held_deletions(registry->AddGauge(
          "tenant_registry_kube_held_deletions",
          "Objects that vanished from Kubernetes in such numbers, or together "
          "with their kind, that they are kept until somebody looks.")),
      last_success(registry->AddGauge(
          "tenant_registry_kube_last_success_timestamp_seconds",
          "When the registry last was as Kubernetes has it, in seconds since "
          "1970.")),
      apply_failures(registry->AddCounter(
          "tenant_registry_kube_apply_failures_total",
          "Changes from Kubernetes that could not be stored; they are tried "
          "again.")),
      status_written(StatusWrites("ok", registry)),
      status_outdated(StatusWrites("outdated", registry)),
      status_failed(StatusWrites("error", registry)),
      status_waiting(registry->AddGauge("tenant_registry_kube_status_waiting",
                                        "Statuses that wait to be written.")) {
  for (const auto kind : {KubeDeclaration::Kind::kMetricAccess,
                          KubeDeclaration::Kind::kOpenMetricsRule,
                          KubeDeclaration::Kind::kMetricsIngestionTenant}) {
    objects[kind] =
        &registry->AddGauge("tenant_registry_kube_objects",
                            "Kubernetes objects that are in effect, by kind.",
                            {{"kind", std::string(KubeKindName(kind))}});
  }
  for (const char* reason : kReasons) {
    refused[reason] = &registry->AddGauge(
        "tenant_registry_kube_refused",
        "Kubernetes objects that are refused now, by reason.",
        {{"reason", reason}});
  }
}

}  // namespace insula::tenant_registry
