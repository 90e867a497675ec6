#include "services/tenant_registry/caller_bindings.h"

#include <utility>

#include "libs/callers/snapshot_bindings.h"
#include "libs/tenancy/snapshot.h"

namespace insula::tenant_registry {

RegistryBindings::RegistryBindings(std::shared_ptr<const Registry> registry)
    : registry_(std::move(registry)) {}

absl::StatusOr<rpc::CallerBindings::Answer> RegistryBindings::Find(
    const rpc::PeerNames& names, v1::Role role,
    absl::string_view tenant_id) const {
  // A copy of the few bindings that matter, so that this and the followers
  // judge alike.
  tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
  for (const ObjectPtr& binding :
       registry_->HoldersOf(callers::FactKeysOf(names))) {
    builder.PutChecked(*binding);
  }
  const auto snapshot = std::move(builder).Build(0, "");
  return callers::FindIn(*snapshot, names, role, tenant_id,
                         registry_->clock().Now());
}

}  // namespace insula::tenant_registry
