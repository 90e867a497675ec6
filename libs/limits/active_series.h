// How many series of each tenant are active, and which ones are new.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/sync/mutex.h"

namespace insula::limits {

class ActiveSeriesOfTenants;

// The set of the series of one tenant that were seen of late, by a hash of 64
// bits of which 63 are kept. Two series are taken for one with a probability of
// 1e-13 for each pair, so the count is exact for all that matters. The hash
// must be seeded with something that senders do not know, or they could make
// series that count as one.
//
// Needs 11 to 22 bytes a series, and 256 bytes for itself. Thread-safe.
class ActiveSeries {
 public:
  // `bytes` counts the memory of all sets together; a set does not grow when
  // that would exceed `max_bytes`. Outlives this.
  ActiveSeries(std::atomic<int64_t>* bytes, int64_t max_bytes);
  ~ActiveSeries();
  ActiveSeries(const ActiveSeries&) = delete;
  ActiveSeries& operator=(const ActiveSeries&) = delete;

  // Notes that the series were seen. A series that is not active yet is
  // refused, and not noted, while `limit` or more are (0: no limit); indexes in
  // `hashes` of those are appended to `refused`. When the memory is used up,
  // new series are neither noted nor refused, but counted by uncounted().
  void Touch(absl::Span<const uint64_t> hashes, uint64_t limit,
             std::vector<size_t>* refused) ABSL_LOCKS_EXCLUDED(mutex_);

  // A window has passed: forgets the series that were not seen since the call
  // before this one.
  void Rotate() ABSL_LOCKS_EXCLUDED(mutex_);

  uint64_t count() const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t uncounted() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // A hash; its lowest bit is set if it was seen since the last rotation. 0 is
  // an empty slot. A line is full before the next one is used.
  static constexpr size_t kSlots = 8;
  struct alignas(64) Line {
    uint64_t slots[kSlots] = {};
  };

  // Where `entry` is, or the empty slot where it belongs.
  uint64_t* Find(uint64_t entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  size_t LineOf(uint64_t entry) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return static_cast<size_t>(entry >> shift_);
  }
  bool MakeRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Resize(size_t lines) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::atomic<int64_t>* const bytes_;
  const int64_t max_bytes_;

  mutable sync::Mutex mutex_;
  std::vector<Line> lines_ ABSL_GUARDED_BY(mutex_);  // A power of two.
  int shift_ ABSL_GUARDED_BY(mutex_) = 64;           // By line: the top bits.
  uint64_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t uncounted_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The sets of all tenants, by tenant uid. A series counts as active from when
// it is seen until one to two windows after it was seen last. Thread-safe.
//
//   auto set = tenants.Get(uid, clock.Now());
//   set->Touch(hashes, limit, &refused);
class ActiveSeriesOfTenants {
 public:
  struct Options {
    absl::Duration window = absl::Minutes(10);
    int64_t max_bytes = 1 << 30;  // Of all sets.
  };

  explicit ActiveSeriesOfTenants(Options options);

  // The set of a tenant, made at the first call. Rotates it when a window is
  // over. `now` does not run backwards by more than the clock does.
  std::shared_ptr<ActiveSeries> Get(absl::string_view uid, absl::Time now)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The number of active series of a tenant; 0 if it is not known.
  uint64_t CountOf(absl::string_view uid, absl::Time now)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Of all tenants with active series, by uid.
  std::map<std::string, uint64_t> Counts(absl::Time now)
      ABSL_LOCKS_EXCLUDED(mutex_);

  int64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  // New series that found no memory, and so were not limited.
  uint64_t uncounted() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    std::shared_ptr<ActiveSeries> set;
    absl::Time rotated_at;
  };

  void RotateIfDue(Entry* entry, absl::Time now) const;
  void Sweep(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  std::atomic<int64_t> bytes_ = 0;

  mutable sync::Mutex mutex_;
  absl::flat_hash_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  absl::Time swept_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  uint64_t uncounted_of_gone_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace insula::limits
