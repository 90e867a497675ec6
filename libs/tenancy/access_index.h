// Which Access objects speak of a tenant.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "libs/sync/mutex.h"
#include "libs/tenancy/sharded_map.h"

namespace insula::tenancy {

struct Access;
class ReadPolicy;

// What ReadPolicyOf() made last of the object that holds it. A copy of the
// object starts with nothing. Thread-safe.
struct KeptReadPolicy {
  KeptReadPolicy() = default;
  KeptReadPolicy(const KeptReadPolicy&) {}
  KeptReadPolicy& operator=(const KeptReadPolicy&) = delete;

  mutable sync::Mutex mutex;
  mutable std::shared_ptr<const ReadPolicy> policy ABSL_GUARDED_BY(mutex);
};

// Of one tenant. Snapshots share it until one of the objects changes.
struct AccessGroup {
  std::string tenant_id;
  std::vector<std::shared_ptr<const Access>> accesses;  // Unordered.
  KeptReadPolicy reads;                                 // Of all of them.
};

// Costs nothing for tenants without Access, and is as cheap to copy as a
// ShardedMap. Reading is thread-safe.
class AccessIndex {
 private:
  struct ByTenant {
    absl::string_view operator()(const AccessGroup& group) const {
      return group.tenant_id;
    }
  };
  using Map = ShardedMap<AccessGroup, ByTenant>;

 public:
  // Null if there is none.
  const AccessGroup* Find(absl::string_view tenant_id) const {
    return groups_.Find(tenant_id);
  }

  // Changes one index; other copies of it stay as they are. Not thread-safe.
  class Editor {
   public:
    explicit Editor(AccessIndex* index)
        : index_(*index), groups_(&index->groups_) {}

    // Adds an object, of whose id there must be none.
    void Put(std::shared_ptr<const Access> access);
    // Removes an object that is there.
    void Erase(const Access& access);

   private:
    AccessGroup& OwnedGroup(const std::string& tenant_id);

    AccessIndex& index_;
    Map::Editor groups_;
    // The groups that no other index can see, so that may change in place.
    std::unordered_map<std::string, std::shared_ptr<AccessGroup>> owned_;
  };

 private:
  Map groups_;
};

}  // namespace insula::tenancy
