// Names for the registry's objects and changes.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "insula/registry/v1/objects.pb.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/tenancy/snapshot.h"

namespace insula::tenant_registry {

namespace v1 = ::insula::registry::v1;

struct ObjectKey {
  v1::Kind kind = v1::KIND_UNSPECIFIED;
  std::string id;

  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const ObjectKey& key) {
    return H::combine(std::move(h), static_cast<int>(key.kind), key.id);
  }
};

inline ObjectKey KeyOf(const v1::Object& object) {
  return {object.meta().kind(), object.meta().id()};
}
inline ObjectKey KeyOf(const v1::ObjectRef& ref) {
  return {ref.kind(), ref.id()};
}
inline v1::ObjectRef RefOf(const ObjectKey& key) {
  v1::ObjectRef ref;
  ref.set_kind(key.kind);
  ref.set_id(key.id);
  return ref;
}

// "Tenant/acme".
inline std::string Name(const ObjectKey& key) {
  const absl::string_view kind = tenancy::KindName(key.kind);
  return absl::StrCat(
      kind.empty() ? absl::StrCat("kind ", key.kind) : std::string(kind), "/",
      key.id);
}

// Objects are shared and never changed.
using ObjectPtr = std::shared_ptr<const v1::Object>;

// What one revision changed.
struct Change {
  struct Item {
    ObjectKey key;
    ObjectPtr object;  // Null: deleted.
  };
  int64_t revision = 0;
  std::vector<Item> items;
};
using ChangePtr = std::shared_ptr<const Change>;

// What is kept of the change of one object, to tell who did it.
struct AuditRecord {
  v1::AuditEntry entry;
  // The tenants that the object is or names, before or after; sorted.
  std::vector<std::string> tenants;
};

}  // namespace insula::tenant_registry
