// The objects as they will be once the changes that are planned are stored.
#pragma once

#include <set>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "libs/resources/references.h"
#include "libs/tenancy/fact.h"
#include "services/tenant_registry/object.h"
#include "services/tenant_registry/retired.h"
#include "services/tenant_registry/state.h"

namespace insula::tenant_registry {

// Lies over a State, which stays as it is and must not change meanwhile: a
// group of changes is planned one by one, each against those before it, and
// forgotten as a whole if it can't be stored. Not thread-safe.
class Draft {
 public:
  explicit Draft(const State* state)
      : state_(*state), revision_(state->revision()) {}

  // As of the State, with the planned changes in place.
  int64_t revision() const { return revision_; }
  ObjectPtr Find(const ObjectKey& key) const;
  void ForEachReferrer(const ObjectKey& target,
                       absl::FunctionRef<void(const v1::Object&)> visit) const;
  const v1::Object* FactHolder(const tenancy::FactKey& fact) const;
  bool IsFileRead(const std::string& source) const {
    return state_.IsFileRead(source);
  }

  // As of RetiredIdentities.
  void ForEachRetired(const StoreIdentity& wanted,
                      RetiredIdentities::Visit visit) const;

  // Takes the next planned change into account.
  void Add(const Change& change);

 private:
  bool IsChanged(const v1::Object& object) const {
    return objects_.contains(KeyOf(object));
  }

  const State& state_;
  int64_t revision_;
  absl::flat_hash_map<ObjectKey, ObjectPtr> objects_;  // Null: deleted.
  resources::ObjectIndex index_;                       // Of objects_.
  RetiredIdentities retired_;                          // Planned ones.
  std::set<StoreIdentity> changed_retired_;            // Planned, also to go.
};

}  // namespace insula::tenant_registry
