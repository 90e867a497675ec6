#include "libs/limits/keyed_token_buckets.h"

#include <algorithm>

namespace insula::limits {

std::optional<absl::Duration> KeyedTokenBuckets::Take(
    absl::string_view key, TokenBucket::Options options, int64_t tokens,
    absl::Time now) {
  sync::MutexLock lock(&mutex_);
  auto it = buckets_.find(key);
  if (it == buckets_.end()) {
    if (buckets_.size() >= sweep_at_) Sweep(now);
    it = buckets_
             .emplace(std::string(key),
                      Entry{options,
                            std::make_unique<TokenBucket>(options, now), now})
             .first;
  }
  Entry& entry = it->second;
  if (!(entry.options == options)) {
    entry.bucket->Reconfigure(options, now);
    entry.options = options;
  }
  const auto wait = entry.bucket->Take(tokens, now);
  // An empty bucket takes this long to fill; a fuller one is kept a little
  // longer than it must be.
  entry.full_at = now + absl::Seconds(options.burst / options.rate);
  return wait;
}

void KeyedTokenBuckets::Return(absl::string_view key, int64_t tokens) {
  sync::MutexLock lock(&mutex_);
  const auto it = buckets_.find(key);
  if (it != buckets_.end()) it->second.bucket->Return(tokens);
}

size_t KeyedTokenBuckets::size() const {
  sync::MutexLock lock(&mutex_);
  return buckets_.size();
}

void KeyedTokenBuckets::Sweep(absl::Time now) {
  absl::erase_if(
      buckets_, [now](const auto& item) { return item.second.full_at <= now; });
  // Twice what is left, so that sweeps cost O(1) a new key.
  sweep_at_ = std::max<size_t>(64, 2 * buckets_.size());
}

}  // namespace insula::limits
