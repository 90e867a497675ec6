// From what the Kubernetes objects come to, to changes of the registry.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "insula/registry/v1/registry.pb.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {

// Tells deletions that are meant from a lost cluster or a mistake. At most so
// many objects may go within a minute as limits::TooManyDeletions() permits;
// once there are more, those are held until they are wanted again. Not
// thread-safe.
class KubeBrake {
 public:
  explicit KubeBrake(int max_deletion_percent)
      : max_percent_(max_deletion_percent) {}

  // Which of `vanished`, the objects that nobody wants now, may be deleted.
  // `present`: how many there are of the source, those included. Those of
  // `meant` may go in any number.
  std::set<ObjectKey> Admit(const std::set<ObjectKey>& vanished,
                            const std::set<ObjectKey>& meant, size_t present,
                            absl::Time now);

  const std::set<ObjectKey>& held() const { return held_; }

 private:
  const int max_percent_;
  std::set<ObjectKey> held_;
  std::set<ObjectKey> admitted_;  // And not gone yet.
  std::deque<std::pair<absl::Time, size_t>> recent_;
};

// The objects of the registry, as the diff needs them.
struct KubePresent {
  std::vector<ObjectPtr> tenants;
  std::vector<ObjectPtr> accesses;
  // Whether a source alone may change what it keeps, see Registry::Keeps().
  std::function<bool(const std::string& source)> keeps;
};

// What is of the source "kubernetes" and not in `wanted`. Kinds that are not
// fully known (`tenants_known`, `accesses_known`) are left alone.
std::set<ObjectKey> VanishedOf(const KubePresent& present,
                               const std::vector<v1::Object>& wanted,
                               bool tenants_known, bool accesses_known);

// How many objects there are of the source "kubernetes".
size_t CountOf(const KubePresent& present);

// Changes in the order in which they are to be made.
struct KubeChanges {
  // Accesses that go; tenants that go or are made anew, refused from then on.
  std::vector<v1::Operation> revocations;
  // Tenants, then accesses.
  std::vector<v1::Operation> puts;
  // Tenants that go now with what refers to them: Registry::RemoveTenant().
  std::vector<std::string> removals;
  // As `puts`, of what needs the removals to be done.
  std::vector<v1::Operation> puts_after;
  // Wanted objects that another source keeps, and which one.
  std::vector<std::pair<ObjectKey, std::string>> owned_elsewhere;
};

// `gone`: of VanishedOf(), what may be deleted. `made_again`: wanted tenants
// that are not the ones present under their id.
KubeChanges DiffOf(const KubePresent& present,
                   const std::vector<v1::Object>& wanted,
                   const std::set<ObjectKey>& gone,
                   const std::set<std::string>& made_again);

}  // namespace insula::tenant_registry
