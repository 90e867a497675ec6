// Names for the objects of the registry.
#pragma once

#include <compare>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/tenancy/snapshot.h"

namespace insula::resources {

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

// "Tenant/acme". Of an id that no object can have, the beginning.
inline std::string Name(const ObjectKey& key) {
  constexpr size_t kMaxIdBytes = 253;
  const absl::string_view kind = tenancy::KindName(key.kind);
  return absl::StrCat(
      kind.empty() ? absl::StrCat("kind ", key.kind) : std::string(kind), "/",
      absl::string_view(key.id).substr(0, kMaxIdBytes),
      key.id.size() > kMaxIdBytes ? "..." : "");
}

}  // namespace insula::resources
