// A token bucket: a sustained rate with bursts.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "libs/sync/mutex.h"

namespace insula::limits {

// Admits `rate` tokens per second on average, and up to `burst` at once.
// The bucket starts full. Thread-safe.
//
//   TokenBucket samples({.rate = 50'000, .burst = 100'000}, clock.Now());
//   if (auto wait = samples.Take(batch.size(), clock.Now())) {
//     return RetryAfter(*wait);
//   }
class TokenBucket {
 public:
  struct Options {
    double rate = 0;   // Tokens added per second. Must be > 0.
    double burst = 0;  // Most tokens held, and so the largest single take.
    friend bool operator==(const Options&, const Options&) = default;
  };

  TokenBucket(Options options, absl::Time now);

  // Takes `tokens` and returns nullopt, or takes nothing and returns how long
  // to wait before trying again. Returns absl::InfiniteDuration() when
  // `tokens` exceeds the burst and so can never be admitted.
  // If `now` runs backwards, no tokens are added.
  std::optional<absl::Duration> Take(int64_t tokens, absl::Time now)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Puts back tokens that were taken and not used.
  void Return(int64_t tokens) ABSL_LOCKS_EXCLUDED(mutex_);

  // Changes rate and burst; keeps the tokens there are, up to the new burst.
  void Reconfigure(Options options, absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Refill(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  sync::Mutex mutex_;
  Options options_ ABSL_GUARDED_BY(mutex_);
  double available_ ABSL_GUARDED_BY(mutex_);
  absl::Time refilled_at_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::limits
