// Remembers which parts of a request were kept when the sender is asked to send
// it again.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/numeric/int128.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/sync/mutex.h"

namespace insula::ingest_gateway {

// A part that a store took: its tenant, and a hash of what was sent. A tenant
// made again under its former id has another uid, and gets its part; so does
// one whose part is another now, because the registry changed.
struct KeptPart {
  std::string tenant_uid;
  uint64_t hash = 0;
  friend bool operator==(const KeptPart&, const KeptPart&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const KeptPart& part) {
    return H::combine(std::move(h), part.tenant_uid, part.hash);
  }
};

using KeptParts = absl::flat_hash_set<KeptPart>;

// Keyed by the caller and a hash of the body under a secret seed, so that no
// caller can claim another's answers or make bodies that collide. Holds a
// bounded number of parts; the oldest requests go first. Thread-safe.
class AnswerMemory {
 public:
  struct Options {
    size_t max_parts = 100'000;
    absl::Duration keep = absl::Minutes(5);
  };

  struct Key {
    std::string caller;
    absl::uint128 body;
    friend bool operator==(const Key&, const Key&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Key& key) {
      return H::combine(std::move(h), key.caller, key.body);
    }
  };

  explicit AnswerMemory(Options options);

  // Nothing is remembered: there is no need to hash. Cheap.
  bool empty() const {
    return parts_held_.load(std::memory_order_relaxed) == 0;
  }

  Key KeyOf(absl::string_view caller, absl::string_view body) const;
  uint64_t HashOf(absl::string_view part) const;

  // The parts that were kept; empty if there was no such request.
  KeptParts Find(const Key& key, absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);

  // Adds to what was kept of a request, and keeps it as long again. Returns how
  // many parts of other requests were forgotten early to make room.
  size_t Remember(const Key& key, const KeptParts& parts, absl::Time now)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The request has had its final answer.
  void Forget(const Key& key) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    Key key;
    KeptParts parts;
    absl::Time until;
  };
  using Entries = std::list<Entry>;  // Oldest first.

  void Erase(Entries::iterator entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const uint64_t seed_;
  std::atomic<size_t> parts_held_ = 0;
  sync::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Key, Entries::iterator> by_key_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::ingest_gateway
