// What a registry must have done, said by those who asked it to: the model that
// tests hold a registry, its audit and its followers against.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "insula/registry/v1/objects.pb.h"
#include "insula/registry/v1/registry.pb.h"

namespace insula::registry_client {

// The changes of a registry that is changed by Apply alone, each of which must
// change something. Knows nothing of how the registry works. Not thread-safe.
//
//   history.Record(response.revision(), request);  // In any order.
//   history.Replay(status.revision());             // All of them are there.
//   history.CheckObjects(listed);
class History {
 public:
  using Key = std::pair<int, std::string>;  // Kind and id.
  using Objects = std::map<Key, registry::v1::Object>;

  static Key KeyOf(const registry::v1::Object& object);
  static Key KeyOf(const registry::v1::ObjectRef& ref);

  // One object after a change.
  struct Version {
    bool present = false;  // Otherwise deleted, and the rest empty.
    std::string spec;      // Without meta, in one form.
    int64_t create_revision = 0;
    int64_t mod_revision = 0;
    friend bool operator==(const Version&, const Version&) = default;
  };
  using Versions = std::map<Key, Version>;

  static Version VersionOf(const registry::v1::Object& object);

  // An Apply was answered with that revision. ALREADY_EXISTS: another one was,
  // too.
  absl::Status Record(int64_t revision,
                      const registry::v1::ApplyRequest& request);

  // Makes the changes up to `revision`, one after the other. DATA_LOSS: nobody
  // asked for one of them, or it could not be made at this point: its
  // conditions did not hold, or it leaves objects that don't belong together.
  absl::Status Replay(int64_t revision);
  // Up to where the changes are made.
  int64_t revision() const { return static_cast<int64_t>(log_.size()); }

  // What changes between two revisions come to. Both must have been replayed.
  Versions Between(int64_t after, int64_t up_to) const;
  // The objects at a revision.
  Versions At(int64_t at) const { return Between(0, at); }

  // DATA_LOSS unless these are the objects at revision().
  absl::Status CheckObjects(
      const std::vector<registry::v1::Object>& objects) const;

  // DATA_LOSS unless these are the entries of the revisions `from` to
  // revision(): who asked, for what, and what was before and after.
  absl::Status CheckAudit(
      int64_t from, const std::vector<registry::v1::AuditEntry>& entries) const;

 private:
  struct Change {
    registry::v1::ApplyRequest request;
    std::vector<std::pair<Key, Version>> items;  // As the request has them.
    std::vector<std::string> before;             // Specs of the items before.
  };

  absl::Status Make(int64_t revision, Change* change);

  std::map<int64_t, registry::v1::ApplyRequest> recorded_;  // Not replayed yet.
  std::vector<Change> log_;  // Of revisions 1, 2, ...
  Objects objects_;          // At revision().
};

// DATA_LOSS unless every reference of every object resolves, no two bindings
// have one token, and tenants of a store that isolates by label have labels.
absl::Status CheckWhole(const History::Objects& objects);

}  // namespace insula::registry_client
