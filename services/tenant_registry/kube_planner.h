// What the registry should have, by all that is known of Kubernetes.
#pragma once

#include <cstddef>
#include <map>
#include <set>

#include "services/tenant_registry/kube_book.h"
#include "services/tenant_registry/kube_diff.h"
#include "services/tenant_registry/kube_feeds.h"
#include "services/tenant_registry/kube_report.h"

namespace insula::tenant_registry {

// Plans again and again, and remembers of each plan what the next one needs: a
// deletion that is held, who declared a tenant. Not thread-safe.
class KubePlanner {
 public:
  // As of KubeBrake.
  explicit KubePlanner(int max_deletion_percent)
      : brake_(max_deletion_percent) {}

  // Sets the plan of `outcome`, and the changes that make `world` so. Takes
  // long for many.
  // `items`: all that is in effect. `listed`: the kinds of which these are all;
  // what others may declare is not deleted. `new_policies`: whether policies
  // have changed since the last plan, so that what they take away was meant to
  // go in any number.
  void Plan(KubeWorld world, std::map<KubeKey, KubeBook::Item> items,
            const std::set<KubeKind>& listed, bool new_policies,
            KubeOutcome* outcome);

  // Those of the last plan.
  const std::map<KubeKey, KubeBook::Item>& items() const { return items_; }

  // How many objects are not deleted, because they are too many.
  size_t held() const { return brake_.held().size(); }

 private:
  KubeBrake brake_;
  KubeDeclarers declarers_;

  // Of the last plan.
  bool all_known_ = false;
  std::map<KubeKey, KubeBook::Item> items_;
  std::set<ObjectKey> vanished_;
};

}  // namespace insula::tenant_registry
