// What the Kubernetes objects come to, and what is said of them.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "services/tenant_registry/kube_applier.h"
#include "services/tenant_registry/kube_book.h"
#include "services/tenant_registry/kube_diff.h"
#include "services/tenant_registry/kube_metrics.h"
#include "services/tenant_registry/kube_plan.h"
#include "services/tenant_registry/kube_status.h"
#include "services/tenant_registry/kube_store_names.h"
#include "services/tenant_registry/registry.h"

namespace insula::tenant_registry {

// What the registry has that the Kubernetes source must know.
struct KubeWorld {
  KubePresent present;
  std::vector<ObjectPtr> policies;
  // The tenants that other sources keep, and which ones do.
  std::map<std::string, std::string> kept_elsewhere;
  IsRetired is_retired;
};
KubeWorld LookAt(const Registry& registry);

KubePlan PlanOf(const std::map<KubeKey, KubeBook::Item>& items,
                const KubeWorld& world);

// Who declares each tenant, to see that one was deleted and made again though
// it was never seen to be away. Not thread-safe.
class KubeDeclarers {
 public:
  // Wanted tenants whose id is that of a present one, `tenants`, but that have
  // none of its declarers. They are told again and again until that tenant is
  // gone. `verdicts` are in the order of `items`.
  std::set<std::string> Follow(const std::map<KubeKey, KubeBook::Item>& items,
                               const std::vector<KubeVerdict>& verdicts,
                               const std::vector<ObjectPtr>& tenants);

 private:
  // By tenant: the identities of who declares it.
  std::map<std::string, std::set<std::string>> declarers_;
  // By tenant: the uid of the one that has to go.
  std::map<std::string, std::string> again_;
};

// What became of a plan.
struct KubeOutcome {
  KubePlan plan;
  KubeChanges changes;
  std::map<std::string, std::string> kept_elsewhere;
  KubeRefusals refused;
  bool complete = false;
};

// The statuses of the objects that are there: verdicts, and what the registry
// refused.
std::map<KubeKey, KubeStatus> StatusesOf(
    const std::map<KubeKey, KubeBook::Item>& items, const KubeOutcome& outcome);

// Sets the gauges of objects in effect and refused.
void Count(const std::map<KubeKey, KubeBook::Item>& items,
           const std::map<KubeKey, KubeStatus>& statuses, KubeMetrics* metrics);

}  // namespace insula::tenant_registry
