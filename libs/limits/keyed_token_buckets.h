// Token buckets by key: one for each tenant, say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/limits/token_bucket.h"
#include "libs/sync/mutex.h"

namespace insula::limits {

// One TokenBucket a key, made full at first use. A bucket that has had time to
// fill up again says nothing and is dropped, so there are never many more than
// keys in use. Thread-safe.
class KeyedTokenBuckets {
 public:
  // As TokenBucket::Take on the bucket of `key`, which first takes over
  // `options` if they changed.
  std::optional<absl::Duration> Take(absl::string_view key,
                                     TokenBucket::Options options,
                                     int64_t tokens, absl::Time now)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // As TokenBucket::Return, if the bucket is there.
  void Return(absl::string_view key, int64_t tokens)
      ABSL_LOCKS_EXCLUDED(mutex_);

  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    TokenBucket::Options options;
    std::unique_ptr<TokenBucket> bucket;
    absl::Time full_at;  // Full from then on, if nobody takes.
  };

  void Sweep(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable sync::Mutex mutex_;
  absl::flat_hash_map<std::string, Entry> buckets_ ABSL_GUARDED_BY(mutex_);
  size_t sweep_at_ ABSL_GUARDED_BY(mutex_) = 64;
};

}  // namespace insula::limits
