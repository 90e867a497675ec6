// Names for the registry's objects and changes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

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
