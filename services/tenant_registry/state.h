// All objects in memory, as they are stored.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "libs/resources/references.h"
#include "libs/tenancy/set_digest.h"
#include "services/tenant_registry/object.h"
#include "services/tenant_registry/retired.h"

namespace insula::tenant_registry {

// The objects at one revision. Not thread-safe.
class State {
 public:
  // In the order of their ids.
  using Objects = std::map<std::string, ObjectPtr, std::less<>>;

  int64_t revision() const { return revision_; }

  // Null if there is none.
  ObjectPtr Find(const ObjectKey& key) const;
  const std::map<v1::Kind, Objects>& kinds() const { return kinds_; }
  const Objects& OfKind(v1::Kind kind) const;
  const resources::ObjectIndex& index() const { return index_; }
  // Some of the objects that refer to one.
  std::vector<ObjectPtr> ReferrersOf(const ObjectKey& target,
                                     size_t limit) const;
  // The Access objects of a tenant, by their ids; null if there are none.
  const Objects* AccessesOf(absl::string_view tenant_id) const;
  // The tenants that are DELETING.
  const std::set<std::string>& deleting() const { return deleting_; }
  // Of former tenants.
  const RetiredIdentities& retired() const { return retired_; }
  void ForgetRetired(absl::Time until) { retired_.Forget(until); }
  const tenancy::SetDigest& digest() const { return digest_; }

  // The revision of the last change of an object of the kind, or a later one.
  int64_t LastChange(v1::Kind kind) const;

  // Only these sources of files keep their objects to themselves; objects of a
  // file that is no longer read are anybody's.
  void SetFiles(std::set<std::string> sources) { files_ = std::move(sources); }
  bool IsFileRead(const std::string& source) const {
    return files_.contains(source);
  }

  // Makes a planned or stored change, without checks.
  void Commit(const Change& change);

  // Adds a stored object, while loading.
  void Load(ObjectPtr object);
  void Load(const Retirement& retirement) { retired_.Take(retirement); }
  // All objects of `revision` are loaded.
  void FinishLoading(int64_t revision);

 private:
  void Put(const ObjectKey& key, ObjectPtr object);
  void Remove(const ObjectKey& key);

  int64_t revision_ = 0;
  std::map<v1::Kind, Objects> kinds_;
  // Of kinds that have not changed since loading: the revision loaded.
  int64_t loaded_revision_ = 0;
  std::map<v1::Kind, int64_t> last_change_;
  std::set<std::string> files_;
  resources::ObjectIndex index_;
  tenancy::SetDigest digest_;
  std::set<std::string> deleting_;
  RetiredIdentities retired_;
  std::map<std::string, Objects, std::less<>> accesses_;  // By tenant.
};

}  // namespace insula::tenant_registry
