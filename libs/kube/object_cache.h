// The objects of a list and its watch, and what has changed among them.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/kube/json.h"

namespace insula::kube {

using Object = std::shared_ptr<const Json>;

// An object was added (no `before`), updated, or deleted (no `after`). Of an
// update both have the same uid: an object deleted and made again is two
// changes, however it was learned of.
struct Change {
  std::string key;  // "NAMESPACE/NAME", or "NAME".
  Object before;
  Object after;
};

// "NAMESPACE/NAME", or "NAME" of a kind that knows no namespaces.
std::string KeyOf(const Json& object);

// Holds objects by key, without their metadata.managedFields. Not thread-safe.
class ObjectCache {
 public:
  struct Limits {
    size_t max_objects = 100'000;
    size_t max_bytes = 256 << 20;  // As text.
  };

  explicit ObjectCache(Limits limits) : limits_(limits) {}

  // Takes `object`, of `bytes` as text, as its newest state, and appends what
  // that changes. INVALID_ARGUMENT for an object without name, uid or version,
  // RESOURCE_EXHAUSTED over a limit: nothing changes then.
  absl::Status Put(Json object, size_t bytes, std::vector<Change>* changes);

  // `object` is gone; it may be gone already.
  void Remove(const Json& object, std::vector<Change>* changes);

  // Becomes `newer`, and appends what that changes.
  void Replace(ObjectCache newer, std::vector<Change>* changes);

  Object Find(absl::string_view key) const;  // Null: there is none.
  std::vector<Object> All() const;           // By key.
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    Object object;
    size_t bytes = 0;
  };

  Limits limits_;
  std::map<std::string, Entry, std::less<>> entries_;
  size_t bytes_ = 0;
};

}  // namespace insula::kube
