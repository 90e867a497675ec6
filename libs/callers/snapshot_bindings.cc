#include "libs/callers/snapshot_bindings.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/rpc/roles.h"

namespace insula::callers {
namespace {

namespace v1 = ::insula::registry::v1;
using Reach = rpc::CallerBindings::Reach;

Reach ReachOf(const tenancy::Binding& binding, v1::Role role,
              absl::string_view tenant_id) {
  if (!binding.Has(role)) return Reach::kNone;
  if (!rpc::IsOfATenant(role) || binding.every_tenant) {
    return Reach::kEveryTenant;
  }
  if (!tenant_id.empty() && binding.MayActFor(tenant_id)) {
    return Reach::kTenant;
  }
  return binding.tenant_ids.empty() ? Reach::kNone : Reach::kOthers;
}

}  // namespace

std::vector<tenancy::FactKey> FactKeysOf(const rpc::PeerNames& names) {
  std::vector<tenancy::FactKey> keys;
  for (const std::string& uri : names.uris) {
    keys.push_back(tenancy::CertificateUriKey(uri));
  }
  for (const std::string& dns : names.dns) {
    keys.push_back(tenancy::CertificateDnsKey(dns));
  }
  return keys;
}

rpc::CallerBindings::Answer FindIn(const tenancy::Snapshot& snapshot,
                                   const rpc::PeerNames& names, v1::Role role,
                                   absl::string_view tenant_id,
                                   absl::Time now) {
  rpc::CallerBindings::Answer answer;
  for (const tenancy::FactKey& key : FactKeysOf(names)) {
    const tenancy::Binding* const binding = snapshot.FindBindingByFact(key);
    if (binding == nullptr) continue;
    const bool expired = now >= binding->not_after;
    absl::StrAppend(&answer.bindings, answer.bindings.empty() ? "" : ", ",
                    "binding '", binding->id, "'", expired ? " (expired)" : "");
    if (expired) continue;
    answer.reach = std::max(answer.reach, ReachOf(*binding, role, tenant_id));
  }
  return answer;
}

SnapshotBindings::SnapshotBindings(SnapshotSource snapshots, const Clock* clock)
    : snapshots_(std::move(snapshots)), clock_(*clock) {}

absl::StatusOr<rpc::CallerBindings::Answer> SnapshotBindings::Find(
    const rpc::PeerNames& names, v1::Role role,
    absl::string_view tenant_id) const {
  const std::shared_ptr<const tenancy::Snapshot> snapshot = snapshots_();
  if (snapshot == nullptr ||
      (snapshot->epoch().empty() && snapshot->revision() == 0)) {
    return absl::UnavailableError(
        "bindings are not known yet: the tenant-registry has not been reached "
        "since the start, try again");
  }
  return FindIn(*snapshot, names, role, tenant_id, clock_.Now());
}

}  // namespace insula::callers
