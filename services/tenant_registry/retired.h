// Under which names former tenants were kept in stores, so that nobody comes to
// their series by a name that has become free.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "libs/resources/object_rules.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {

// All names under which a store may have series of the tenant: none if it has
// neither an upstream nor a rule target, else its org id and its labels, as its
// upstream may have isolated in another way before.
std::set<StoreIdentity> FootprintOf(const v1::Object& tenant);

// Those under which it reads and writes now, by the isolation of its upstream
// and its rule target.
std::set<StoreIdentity> UsedBy(const v1::Object& tenant,
                               resources::FindObject find);

// Whether who reads by one of them may see series of the other. Labels: if they
// share a name, and no value of a shared one differs.
bool Overlap(const StoreIdentity& a, const StoreIdentity& b);

// The field of Tenant that it is, with its value, for an error:
// "spec.org_id 'acme'".
std::string Show(const StoreIdentity& identity);

// The names that former tenants had, at one revision. Not thread-safe.
class RetiredIdentities {
 public:
  using Visit = absl::FunctionRef<void(const StoreIdentity& identity,
                                       const FormerTenant& former)>;

  RetiredIdentities() = default;
  // It points into itself.
  RetiredIdentities(const RetiredIdentities&) = delete;
  RetiredIdentities& operator=(const RetiredIdentities&) = delete;

  // Adds or replaces, or without a former tenant removes.
  void Take(const Retirement& retirement);

  // Those that overlap with an identity. Takes as long as there are of them,
  // and of different sets of label names.
  void ForEachOverlap(const StoreIdentity& wanted, Visit visit) const;

  size_t size() const { return all_.size(); }

  // The time up to which all must be forgotten so that none is left of
  // before `oldest`, and no more than `most` of them; InfinitePast: none must.
  absl::Time ForgetUntil(absl::Time oldest, size_t most) const;
  // Forgets what was retired at that time or earlier.
  void Forget(absl::Time until);

 private:
  using Pair = std::pair<std::string, std::string>;
  using Candidates = std::set<const StoreIdentity*>;
  // Those of one set of label names, by each pair.
  using Group = std::map<Pair, Candidates>;
  using All = std::map<StoreIdentity, FormerTenant>;

  void Index(const StoreIdentity& identity);
  All::iterator Remove(All::iterator it);
  void ForEachLabelOverlap(const StoreIdentity& wanted, Visit visit) const;

  All all_;
  std::map<std::vector<std::string>, Group> groups_;  // By label names.
};

}  // namespace insula::tenant_registry
