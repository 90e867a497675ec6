// Under which names stores keep the tenants of Kubernetes objects.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "services/tenant_registry/kube_diff.h"
#include "services/tenant_registry/kube_plan.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {

// Whether a former tenant, other than the one of a uid, was known to stores by
// an identity: Registry::IsRetired().
using IsRetired =
    std::function<bool(const StoreIdentity& identity, const std::string& uid)>;

// A name in stores is the tenant id and a number, which 1 stands for the id
// alone: "acme", "acme!2". Of [A-Za-z0-9!_.*'()-] and at most 150 bytes, as a
// tenant id.
std::string StoreOrgId(const std::string& tenant_id, int number);
// "acme", "acme~2": never the id of a tenant.
std::string StoreLabelValue(const std::string& tenant_id, int number);

// Gives the tenants among `wanted`, whose labels have their ids for values, the
// names that they have, or if they are new, or `made_again`, the first ones
// that no former tenant had and that are no other tenant's id or name. Label
// selectors of the accesses among `wanted` that name such a tenant follow.
// Returns the numbers of tenants that have another one than 1.
std::map<std::string, int> NameInStores(const KubePresent& present,
                                        const std::set<std::string>& made_again,
                                        const IsRetired& is_retired,
                                        std::vector<v1::Object>* wanted);

// Says so in the condition TenantReady.
void TellStoreNames(const std::map<std::string, int>& numbers,
                    std::vector<KubeVerdict>* verdicts);

}  // namespace insula::tenant_registry
