#include "services/tenant_registry/kube_planner.h"

#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "services/tenant_registry/kube_store_names.h"

namespace insula::tenant_registry {

void KubePlanner::Plan(KubeWorld world, std::map<KubeKey, KubeBook::Item> items,
                       const std::set<KubeKind>& listed, bool new_policies,
                       KubeOutcome* outcome) {
  const bool accesses_known = listed.contains(KubeKind::kMetricAccess);
  const bool tenants_known = listed.size() == KubeResources().size();
  // What goes because of a Policy was meant to; what goes because Kubernetes
  // has no object for it any more may be a mistake. So the objects of the last
  // plan are looked at under the policies of now. Before the first plan of all
  // it is not known what was there.
  std::set<ObjectKey> meant;
  if (new_policies && all_known_) {
    meant =
        VanishedOf(world.present, PlanOf(items_, world).objects, true, true);
    for (const ObjectKey& key : vanished_) meant.erase(key);
  }
  KubePlan plan = PlanOf(items, world);
  vanished_ =
      VanishedOf(world.present, plan.objects, tenants_known, accesses_known);
  const std::set<ObjectKey> gone =
      brake_.Admit(vanished_, meant, CountOf(world.present), absl::Now());
  const std::set<std::string> made_again =
      declarers_.Follow(items, plan.verdicts, world.present.tenants);
  TellStoreNames(
      NameInStores(world.present, made_again, world.is_retired, &plan.objects),
      &plan.verdicts);
  outcome->changes = DiffOf(world.present, plan.objects, gone, made_again);
  outcome->plan = std::move(plan);
  outcome->kept_elsewhere = std::move(world.kept_elsewhere);
  items_ = std::move(items);
  all_known_ = tenants_known;
}

}  // namespace insula::tenant_registry
