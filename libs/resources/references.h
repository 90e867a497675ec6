// Which fields of an object name other objects.
#pragma once

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "libs/resources/object_key.h"
#include "libs/tenancy/fact.h"

namespace insula::resources {

// A field of an object that names another one. Valid during a visit.
struct Reference {
  absl::string_view field;  // "spec.tenant_ids"
  int index = -1;           // Of a repeated field; -1 of another one.
  v1::Kind kind = v1::KIND_UNSPECIFIED;
  const std::string& id;

  ObjectKey target() const { return {kind, id}; }
  std::string field_name() const;  // "spec.tenant_ids[2]"
};

// Calls `visit` with every reference of an object.
void ForEachReference(const v1::Object& object,
                      absl::FunctionRef<void(const Reference&)> visit);

// Who refers to an object, and which binding has a fact, among a set of
// objects. Not thread-safe.
class ObjectIndex {
 public:
  using Referrers = absl::flat_hash_set<const v1::Object*>;

  // The object must live until it is removed.
  void Add(const v1::Object& object);
  void Remove(const v1::Object& object);

  // Null if there are none.
  const Referrers* ReferrersOf(const ObjectKey& target) const;
  // The Binding that has the fact; null if none does.
  const v1::Object* FactHolder(const tenancy::FactKey& fact) const;

 private:
  absl::flat_hash_map<ObjectKey, Referrers> referrers_;
  absl::flat_hash_map<tenancy::FactKey, const v1::Object*> by_fact_;
};

}  // namespace insula::resources
