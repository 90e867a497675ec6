// Names for the registry's objects and changes.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/resources/object_key.h"

namespace insula::tenant_registry {

namespace v1 = ::insula::registry::v1;

using resources::KeyOf;
using resources::Name;
using resources::ObjectKey;
using resources::RefOf;

// Objects are shared and never changed.
using ObjectPtr = std::shared_ptr<const v1::Object>;

// What a store knows the series of a tenant by: an org id or labels; the other
// one is empty.
struct StoreIdentity {
  std::string org_id;
  std::map<std::string, std::string> labels;
  friend auto operator<=>(const StoreIdentity&, const StoreIdentity&) = default;
};

// A tenant that is gone, or has another identity since.
struct FormerTenant {
  std::string id;
  std::string uid;
  absl::Time at;  // Since when.
  friend bool operator==(const FormerTenant&, const FormerTenant&) = default;
};

// Who had an identity last.
struct Retirement {
  StoreIdentity identity;
  std::optional<FormerTenant> former;  // Unset: somebody has it again.
};

// What one revision changed.
struct Change {
  struct Item {
    ObjectKey key;
    ObjectPtr object;  // Null: deleted.
  };
  int64_t revision = 0;
  std::vector<Item> items;
  // The registry's own: neither in the log nor for followers.
  std::vector<Retirement> retirements = {};
};
using ChangePtr = std::shared_ptr<const Change>;

// What is kept of the change of one object, to tell who did it.
struct AuditRecord {
  v1::AuditEntry entry;
  // The tenants that the object is or names, before or after; sorted.
  std::vector<std::string> tenants;
};

}  // namespace insula::tenant_registry
