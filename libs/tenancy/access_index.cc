#include "libs/tenancy/access_index.h"

#include <algorithm>
#include <utility>

#include "libs/tenancy/snapshot.h"

namespace insula::tenancy {

AccessGroup& AccessIndex::Editor::OwnedGroup(const std::string& tenant_id) {
  std::shared_ptr<AccessGroup>& owned = owned_[tenant_id];
  if (owned == nullptr) {
    owned = std::make_shared<AccessGroup>();
    owned->tenant_id = tenant_id;
    if (const AccessGroup* const old = index_.Find(tenant_id)) {
      owned->accesses = old->accesses;
    }
    groups_.Put(owned);
  }
  return *owned;
}

void AccessIndex::Editor::Put(std::shared_ptr<const Access> access) {
  AccessGroup& group = OwnedGroup(access->spec.tenant_id());
  group.accesses.push_back(std::move(access));
}

void AccessIndex::Editor::Erase(const Access& access) {
  // A copy: the group may be the last that holds the object.
  const std::string tenant_id = access.spec.tenant_id();
  auto& accesses = OwnedGroup(tenant_id).accesses;
  const auto at = std::find_if(
      accesses.begin(), accesses.end(),
      [&access](const auto& other) { return other.get() == &access; });
  if (at != accesses.end()) {
    *at = std::move(accesses.back());
    accesses.pop_back();
  }
  if (accesses.empty()) {
    groups_.Erase(tenant_id);
    owned_.erase(tenant_id);
  }
}

}  // namespace insula::tenancy
