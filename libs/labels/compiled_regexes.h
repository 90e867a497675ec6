// Regular expressions that were compiled lately. For libs/labels alone.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "libs/sync/mutex.h"

namespace re2 {
class RE2;
}

namespace insula::labels {

// Rules and dashboards bring the same small expressions again and again, and
// each is read some times on its way: compiling them is most of what reading
// costs. Holds the last kMost, whose automata may grow to kMostBytes each.
// Thread-safe.
class CompiledRegexes {
 public:
  static constexpr size_t kMost = 512;
  static constexpr size_t kMostBytes = size_t{256} << 10;
  static constexpr size_t kLongest = 256;  // Pattern, in bytes.
  static constexpr size_t kMostCost = 1024;

  struct Compiled {
    std::shared_ptr<const re2::RE2> automaton;  // Null: not here.
    size_t cost = 0;                            // By regex_cost.h.
    bool matches_empty = false;
  };

  // Of the process.
  static CompiledRegexes& Global();

  Compiled Find(absl::string_view pattern) ABSL_LOCKS_EXCLUDED(mutex_);
  void Keep(absl::string_view pattern, Compiled compiled)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  sync::Mutex mutex_;
  absl::flat_hash_map<std::string, Compiled> kept_ ABSL_GUARDED_BY(mutex_);
  // Their patterns; the next one takes the place of the oldest.
  std::array<std::string, kMost> patterns_ ABSL_GUARDED_BY(mutex_);
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace insula::labels
