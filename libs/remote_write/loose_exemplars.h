// Exemplars that came apart from the series that they belong to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "libs/remote_write/splitter.h"

namespace insula::remote_write {

// Gives them back to the series of the same labels. Not thread-safe.
class LooseExemplars {
 public:
  // `labels` and `exemplars` are fields of a TimeSeries message of 1.0, all the
  // labels and nothing else. `counts` and `metric` are for whom they are not
  // joined to anything.
  void Add(absl::string_view labels, absl::string_view exemplars,
           const Counts& counts, absl::string_view metric);

  bool empty() const { return held_.empty(); }
  size_t bytes() const { return bytes_; }  // Of what was added.

  // Appends to each series of `body`, a WriteRequest whose series begin with
  // their labels, the exemplars of these labels; to the first, if there are
  // several. Returns how many exemplars that were.
  int64_t Join(std::string* body);

  // Of those that Join() found no series for.
  void ForEachLeft(
      const std::function<void(const Counts&, absl::string_view metric)>& take)
      const;

  void Clear();
  // Gives memory back if there is more of it than ordinary requests need.
  void Shrink();

 private:
  struct Held {
    std::string exemplars;
    Counts counts;
    std::string metric;
    bool joined = false;
  };
  absl::flat_hash_map<std::string, Held> held_;  // By labels.
  size_t bytes_ = 0;
  std::string joined_;
  std::string series_;
};

}  // namespace insula::remote_write
