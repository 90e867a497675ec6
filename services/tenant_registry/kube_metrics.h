// What the Kubernetes source of the tenant-registry counts.
#pragma once

#include <map>
#include <string>

#include "libs/metrics/metrics.h"
#include "services/tenant_registry/kube_declaration.h"

namespace insula::tenant_registry {

// Thread-safe. Lives in the registry that it is built from.
struct KubeMetrics {
  explicit KubeMetrics(metrics::Registry* registry);

  // By the reasons of conditions; what is none of them counts as Refused.
  static constexpr const char* kReasons[] = {"Invalid", "Forbidden", "Conflict",
                                             "OwnedElsewhere", "Refused"};

  std::map<KubeDeclaration::Kind, metrics::Gauge*> objects;
  std::map<std::string, metrics::Gauge*> refused;
  metrics::Gauge& synced;
  metrics::Gauge& held_deletions;
  metrics::Gauge& last_success;
  metrics::Counter& apply_failures;
  metrics::Counter& status_written;
  metrics::Counter& status_outdated;
  metrics::Counter& status_failed;
  metrics::Gauge& status_waiting;
};

}  // namespace insula::tenant_registry
