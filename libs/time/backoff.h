// How long to wait before the next attempt.
#pragma once

#include "absl/random/random.h"
#include "absl/time/time.h"

namespace insula {

// Exponential backoff with full jitter: the n-th wait is uniform between half
// of and the whole of min(initial * 2^n, maximum). Not thread-safe.
class Backoff {
 public:
  struct Options {
    absl::Duration initial = absl::Milliseconds(100);
    absl::Duration maximum = absl::Seconds(30);
  };

  explicit Backoff(Options options)
      : options_(options), ceiling_(options.initial) {}

  // The next wait.
  absl::Duration Next();

  // Starts over, after a success.
  void Reset() { ceiling_ = options_.initial; }

 private:
  Options options_;
  absl::Duration ceiling_;
  absl::BitGen random_;
};

}  // namespace insula
