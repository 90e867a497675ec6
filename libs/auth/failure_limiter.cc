#include "libs/auth/failure_limiter.h"

#include <algorithm>

namespace insula::auth {

std::optional<absl::Duration> FailureLimiter::Begin(absl::string_view key,
                                                    absl::Time now) {
  const sync::MutexLock lock(&mutex_);
  auto found = by_key_.find(key);
  if (found == by_key_.end()) {
    if (entries_.size() >= std::max<size_t>(1, options_.max_keys)) {
      by_key_.erase(entries_.back().key);
      entries_.pop_back();
    }
    entries_.push_front(Entry{std::string(key), options_.burst, now});
    found = by_key_.emplace(entries_.front().key, entries_.begin()).first;
  } else {
    entries_.splice(entries_.begin(), entries_, found->second);
  }
  Entry& entry = *found->second;
  const double passed =
      std::max(0.0, absl::ToDoubleSeconds(now - entry.filled_at));
  entry.left =
      std::min(options_.burst, entry.left + passed * options_.per_second);
  entry.filled_at = std::max(entry.filled_at, now);
  if (entry.left >= 1) {
    entry.left -= 1;
    return std::nullopt;
  }
  return absl::Seconds((1 - entry.left) / options_.per_second);
}

void FailureLimiter::Succeed(absl::string_view key) {
  const sync::MutexLock lock(&mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return;
  Entry& entry = *found->second;
  entry.left = std::min(options_.burst, entry.left + 1);
}

size_t FailureLimiter::size() const {
  const sync::MutexLock lock(&mutex_);
  return entries_.size();
}

}  // namespace insula::auth
