// What a request does to the names under which stores know its tenants.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/tenant_registry/draft.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {

// One request being looked at, over the objects of a draft. Not thread-safe.
class IdentityChanges {
 public:
  // `after`: what the request puts, or null for what it deletes. Both outlive
  // it.
  IdentityChanges(const Draft* draft,
                  const std::map<ObjectKey, ObjectPtr>* after)
      : draft_(*draft), after_(*after) {}

  // Notes what tenants of the request no longer are known by afterwards, to be
  // remembered. To be called once `after` is complete, and before all that
  // follows; or not at all, if nothing is to be remembered.
  void FindReleased(absl::Time now);

  // What a tenant comes to be known by must not find the series of a former
  // one, unless it says so. FAILED_PRECONDITION with both tenants and the cure.
  absl::Status CheckTenant(const ObjectKey& key,
                           const v1::Object& tenant) const;

  // The same for an upstream or a rule target of the request, seen from its
  // tenants, which may come to be known by something else there.
  absl::Status CheckTenantsOf(const ObjectKey& place) const;

  // What is to be stored of it: what is released, and what is taken over.
  std::vector<Retirement> Retirements() const;

 private:
  ObjectPtr After(const ObjectKey& key) const;
  // Of a tenant, by the isolation that its upstream has before and after.
  std::set<StoreIdentity> UsedBefore(const ObjectKey& key) const;
  std::set<StoreIdentity> UsedAfter(const v1::Object& tenant) const;

  const Draft& draft_;
  const std::map<ObjectKey, ObjectPtr>& after_;
  std::vector<Retirement> released_;
};

}  // namespace insula::tenant_registry
