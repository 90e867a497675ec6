#include "services/tenant_registry/identity_changes.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/retired.h"

namespace insula::tenant_registry {
namespace {

absl::Status TakenFrom(const ObjectKey& key, const StoreIdentity& wanted,
                       const FormerTenant& former) {
  const std::string uid = absl::BytesToHexString(former.uid);
  return absl::FailedPreconditionError(absl::StrCat(
      Name(key), ": ", Show(wanted), " finds what the former tenant '",
      former.id, "' (uid ", uid, ", until ",
      absl::FormatTime(absl::RFC3339_sec, former.at, absl::UTCTimeZone()),
      ") has left in its store; give the tenant another value, or let it take "
      "those series over with spec.inherits_uids: [\"",
      uid, "\"]"));
}

}  // namespace

ObjectPtr IdentityChanges::After(const ObjectKey& key) const {
  const auto it = after_.find(key);
  return it != after_.end() ? it->second : draft_.Find(key);
}

std::set<StoreIdentity> IdentityChanges::UsedBefore(
    const ObjectKey& key) const {
  const ObjectPtr before = draft_.Find(key);
  if (before == nullptr) return {};
  auto find = [this](const ObjectKey& other) {
    return draft_.Find(other).get();
  };
  return UsedBy(*before, find);
}

std::set<StoreIdentity> IdentityChanges::UsedAfter(
    const v1::Object& tenant) const {
  auto find = [this](const ObjectKey& other) { return After(other).get(); };
  return UsedBy(tenant, find);
}

absl::Status IdentityChanges::CheckTenant(const ObjectKey& key,
                                          const v1::Object& tenant) const {
  const ObjectPtr before = draft_.Find(key);
  const std::set<StoreIdentity> had = UsedBefore(key);
  const auto& inherits = tenant.tenant().inherits_uids();
  absl::Status status;
  for (const StoreIdentity& wanted : UsedAfter(tenant)) {
    if (had.contains(wanted)) continue;
    const auto look = [&](const FormerTenant& former) {
      if (before != nullptr && before->meta().uid() == former.uid) return;
      const bool inherited =
          std::find(inherits.begin(), inherits.end(),
                    absl::BytesToHexString(former.uid)) != inherits.end();
      if (status.ok() && !inherited) status = TakenFrom(key, wanted, former);
    };
    draft_.ForEachRetired(
        wanted, [&](const StoreIdentity&, const FormerTenant& former) {
          look(former);
        });
    for (const Retirement& released : released_) {
      if (Overlap(wanted, released.identity)) look(*released.former);
    }
    RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

absl::Status IdentityChanges::CheckTenantsOf(const ObjectKey& place) const {
  const ObjectPtr before = draft_.Find(place);
  const ObjectPtr after = After(place);
  if (before == nullptr ||
      (before->upstream().isolation() == after->upstream().isolation() &&
       before->rule_target().isolation() == after->rule_target().isolation())) {
    return absl::OkStatus();
  }
  absl::Status status;
  draft_.ForEachReferrer(place, [&](const v1::Object& object) {
    // Tenants of the request are looked at by themselves.
    const ObjectKey key = KeyOf(object);
    if (!status.ok() || !object.has_tenant() || after_.contains(key)) return;
    status = CheckTenant(key, object);
  });
  return status;
}

void IdentityChanges::FindReleased(absl::Time now) {
  for (const auto& [key, after] : after_) {
    if (key.kind != v1::KIND_TENANT) continue;
    const ObjectPtr before = draft_.Find(key);
    if (before == nullptr) continue;
    std::set<StoreIdentity> kept;
    if (after != nullptr) kept = FootprintOf(*after);
    for (const StoreIdentity& identity : FootprintOf(*before)) {
      if (kept.contains(identity)) continue;
      FormerTenant former;
      former.id = key.id;
      former.uid = before->meta().uid();
      former.at = now;
      released_.push_back({identity, std::move(former)});
    }
  }
}

std::vector<Retirement> IdentityChanges::Retirements() const {
  std::map<StoreIdentity, Retirement> made;
  for (const Retirement& released : released_) {
    made[released.identity] = released;
  }
  // What a tenant has come to use was checked, and is its own from then on.
  for (const auto& [key, object] : after_) {
    if (object == nullptr || key.kind != v1::KIND_TENANT) continue;
    const std::set<StoreIdentity> had = UsedBefore(key);
    for (const StoreIdentity& used : UsedAfter(*object)) {
      if (had.contains(used)) continue;
      made.erase(used);
      draft_.ForEachRetired(
          used, [&](const StoreIdentity& identity, const FormerTenant&) {
            if (identity == used) made[used] = {used, std::nullopt};
          });
    }
  }
  std::vector<Retirement> retirements;
  for (auto& [identity, retirement] : made) {
    retirements.push_back(std::move(retirement));
  }
  return retirements;
}

}  // namespace insula::tenant_registry
