// Collects what a split refuses.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "libs/remote_write/reason.h"
#include "libs/remote_write/splitter.h"

namespace insula::remote_write {

// One entry for each destination and reason, in the order they came first. Not
// thread-safe.
class RefusalList {
 public:
  // Counts what is refused at `destination`, null if there is none. `example`
  // may be empty; examples are bounded as Refused says.
  void Add(const Destination* destination, Reason reason,
           absl::string_view example, const Counts& counts);

  // Ends it.
  std::vector<Refused> Release() { return std::move(entries_); }

 private:
  std::vector<Refused> entries_;
  absl::flat_hash_map<std::pair<const Destination*, Reason>, size_t> index_of_;
};

}  // namespace insula::remote_write
