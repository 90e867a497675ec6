// Slows down those who guess.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/sync/mutex.h"

namespace insula::auth {

// Allows each key `burst` failures at once, and `per_second` on average. An
// attempt takes its place before it is made and gives it back if it does not
// fail: so many attempts side by side are no way around it. Thread-safe.
//
// Of more than `max_keys` keys the one whose last attempt is longest ago is
// forgotten: that bounds memory, and only helps who has so many keys.
class FailureLimiter {
 public:
  struct Options {
    double per_second = 1;
    double burst = 20;
    size_t max_keys = 10'000;
  };

  explicit FailureLimiter(Options options) : options_(options) {}

  // Takes a place and returns nothing, or returns how long to wait for one.
  // `now` is of a clock that never jumps.
  std::optional<absl::Duration> Begin(absl::string_view key, absl::Time now)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The attempt did not fail; gives its place back.
  void Succeed(absl::string_view key) ABSL_LOCKS_EXCLUDED(mutex_);

  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    std::string key;
    double left = 0;
    absl::Time filled_at;
  };

  const Options options_;
  mutable sync::Mutex mutex_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mutex_);  // The latest first.
  std::map<absl::string_view, std::list<Entry>::iterator> by_key_
      ABSL_GUARDED_BY(mutex_);  // Names are those of the entries.
};

}  // namespace insula::auth
