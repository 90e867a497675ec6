// Remembers what was said about a credential, for a while.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "libs/auth/digest.h"
#include "libs/sync/mutex.h"

namespace insula::auth {

// Of at most `max_entries`, of which the one that was longest not asked for
// goes when another comes. Times are those of a clock that never jumps.
// Thread-safe.
template <typename Value>
class DigestCache {
 public:
  explicit DigestCache(size_t max_entries) : max_entries_(max_entries) {}

  std::optional<Value> Find(const Digest& key, absl::Time now)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const sync::MutexLock lock(&mutex_);
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return std::nullopt;
    if (now >= found->second->until) {
      entries_.erase(found->second);
      by_key_.erase(found);
      return std::nullopt;
    }
    entries_.splice(entries_.begin(), entries_, found->second);
    return found->second->value;
  }

  // Replaces what was there. Keeps nothing if `until` is over.
  void Put(const Digest& key, Value value, absl::Time until, absl::Time now)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const sync::MutexLock lock(&mutex_);
    if (const auto found = by_key_.find(key); found != by_key_.end()) {
      entries_.erase(found->second);
      by_key_.erase(found);
    }
    if (now >= until || max_entries_ == 0) return;
    while (entries_.size() >= max_entries_) {
      by_key_.erase(entries_.back().key);
      entries_.pop_back();
    }
    entries_.push_front(Entry{key, std::move(value), until});
    by_key_.emplace(key, entries_.begin());
  }

  void Erase(const Digest& key) ABSL_LOCKS_EXCLUDED(mutex_) {
    const sync::MutexLock lock(&mutex_);
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return;
    entries_.erase(found->second);
    by_key_.erase(found);
  }

  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const sync::MutexLock lock(&mutex_);
    return entries_.size();
  }

 private:
  struct Entry {
    Digest key;
    Value value;
    absl::Time until;
  };
  using Entries = std::list<Entry>;  // Asked for last first.

  const size_t max_entries_;
  mutable sync::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  std::map<Digest, typename Entries::iterator> by_key_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::auth
