// All objects in memory, and the question whether a change may be made to them.
#pragma once

#include <array>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/registry.pb.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {

// A field of an object that names another one.
struct Reference {
  std::string field;  // "spec.upstream_id"
  ObjectKey target;
};
std::vector<Reference> ReferencesOf(const v1::Object& object);

// An Apply, and who asks for it.
struct ApplyCommand {
  v1::ApplyRequest request;
  std::string source = "api";  // Or "file:PATH".
  std::string actor;           // Goes into meta.updated_by.
};

// The objects at one revision. Not thread-safe.
class State {
 public:
  // In the order of their ids.
  using Objects = std::map<std::string, ObjectPtr, std::less<>>;

  int64_t revision() const { return revision_; }
  void set_revision(int64_t revision) { revision_ = revision; }

  // Null if there is none.
  ObjectPtr Find(const ObjectKey& key) const;
  const std::map<v1::Kind, Objects>& kinds() const { return kinds_; }
  const Objects& OfKind(v1::Kind kind) const;

  // The revision of the last change of an object of the kind.
  int64_t LastChange(v1::Kind kind) const;

  // Only these sources of files keep their objects to themselves; objects of a
  // file that is no longer read are anybody's.
  void SetFiles(std::set<std::string> sources) { files_ = std::move(sources); }

  // Checks a request against the objects, and returns what it would change at
  // the next revision: no items if nothing. Errors as of TenantRegistry.Apply.
  absl::StatusOr<Change> Plan(const ApplyCommand& command,
                              absl::Time now) const;

  // Makes a planned or stored change, without checks.
  void Commit(const Change& change);

  // Adds a stored object while loading.
  void Load(ObjectPtr object);

 private:
  class Planner;

  void Put(const ObjectKey& key, ObjectPtr object);
  void Remove(const ObjectKey& key);

  int64_t revision_ = 0;
  std::map<v1::Kind, Objects> kinds_;
  std::map<v1::Kind, int64_t> last_change_;
  std::set<std::string> files_;
  // How many references name an object.
  absl::flat_hash_map<ObjectKey, int64_t> references_;
  // Which binding has a token.
  absl::flat_hash_map<std::string, std::string> bindings_by_token_;
};

}  // namespace insula::tenant_registry
