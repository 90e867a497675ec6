// What the Kubernetes objects come to under the policies. Pure: no clock, no
// network, the same answer whatever the order of the input.
#pragma once

#include <string>
#include <vector>

#include "insula/registry/v1/objects.pb.h"
#include "services/tenant_registry/kube_declaration.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {

// A condition as Kubernetes has it, for status.conditions. Types:
//
//   Accepted     True: Accepted. False: Invalid (the object is wrong),
//                Forbidden (no Policy allows it), Conflict (another object has
//                declared a tenant in another way).
//   TenantReady  True: Ready. False: NoUpstream (the tenant has no store),
//                NotAccepted.
//   RemoteWrite  Only with spec.remoteWrite. False: NotSupported, Disabled,
//                NotAccepted.
struct KubeCondition {
  std::string type;
  std::string status;   // "True" or "False".
  std::string reason;   // One word, see above.
  std::string message;  // For people; with the cure where something is wrong.

  friend bool operator==(const KubeCondition&, const KubeCondition&) = default;
};

struct KubeVerdict {
  // What it says now is in effect. False, and tenant_ids not empty: what its
  // `former` says is.
  bool accepted = false;
  std::vector<KubeCondition> conditions;  // Each type once.
  // For status.validatedMetrics: the patterns in effect of a MetricAccess.
  std::vector<std::string> validated_metrics;
  // The tenants in KubePlan::objects, or kept by other sources, that it
  // declares. Sorted.
  std::vector<std::string> tenant_ids;
  // The Access in KubePlan::objects that it grants: "NAMESPACE/NAME". Or empty.
  std::string access_id;
};

struct KubePlan {
  // What the source wants in the registry: Tenants, then Accesses, each by id
  // and each id once. All pass CheckObject; only kind and id of their meta are
  // set.
  std::vector<v1::Object> objects;
  // One per declaration, in their order.
  std::vector<KubeVerdict> verdicts;
};

// Which objects the declarations come to under the policies.
//
// The policy of a namespace is the one that names it, else the one that names
// "*", else none: then its objects declare the tenant of the namespace's name,
// without a store, and grant it that tenant's own series.
//
// A MetricAccess declares the one tenant of its namespace, the others those
// that they list. What is not allowed refuses the whole object. A tenant lives
// as long as one object declares it. It reads what MetricAccess objects of it
// grant if there is one, even a refused one, and else all of its own.
//
// Objects that declare one tenant in different ways (their policies differ in
// upstream, limits, rule target or enforced label): the first by namespace and
// name is taken, the later ones are refused.
//
// `kept_by_others`: the Tenants that other sources keep. They stay as they are,
// are in no `objects`, and objects that declare them may grant them series.
KubePlan PlanKubeObjects(
    const std::vector<const KubeDeclaration*>& declarations,
    const std::vector<const v1::Policy*>& policies,
    const std::vector<const v1::Object*>& kept_by_others = {});

}  // namespace insula::tenant_registry
