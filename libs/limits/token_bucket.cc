#include "libs/limits/token_bucket.h"

#include <algorithm>
#include <cassert>

namespace insula::limits {

TokenBucket::TokenBucket(Options options, absl::Time now)
    : options_(options), available_(options.burst), refilled_at_(now) {
  assert(options.rate > 0);
}

std::optional<absl::Duration> TokenBucket::Take(int64_t tokens,
                                                absl::Time now) {
  sync::MutexLock lock(&mutex_);
  Refill(now);
  const double wanted = static_cast<double>(std::max<int64_t>(tokens, 0));
  if (wanted > options_.burst) return absl::InfiniteDuration();
  if (wanted <= available_) {
    available_ -= wanted;
    return std::nullopt;
  }
  return absl::Seconds((wanted - available_) / options_.rate);
}

void TokenBucket::Return(int64_t tokens) {
  sync::MutexLock lock(&mutex_);
  const double returned = static_cast<double>(std::max<int64_t>(tokens, 0));
  available_ = std::min(available_ + returned, options_.burst);
}

void TokenBucket::Reconfigure(Options options, absl::Time now) {
  assert(options.rate > 0);
  sync::MutexLock lock(&mutex_);
  Refill(now);
  options_ = options;
  available_ = std::min(available_, options_.burst);
}

void TokenBucket::Refill(absl::Time now) {
  if (now <= refilled_at_) return;
  const double elapsed = absl::ToDoubleSeconds(now - refilled_at_);
  available_ = std::min(options_.burst, available_ + elapsed * options_.rate);
  refilled_at_ = now;
}

}  // namespace insula::limits
