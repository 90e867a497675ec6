// What each tenant sends, for people who look on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/sync/mutex.h"

namespace insula::ingest_gateway {

// What came of a tenant.
struct Traffic {
  int64_t requests = 0;  // Parts of writes.
  int64_t series = 0;
  int64_t samples = 0;
  int64_t bytes = 0;            // Before compression.
  int64_t refused_samples = 0;  // Not among `samples`.

  Traffic& operator+=(const Traffic& other);
};

// Counts by tenant. Of a tenant that is made again nothing is carried over, and
// one that has sent nothing for ten minutes is forgotten, so there are no more
// than tenants in use. Thread-safe.
class Usage {
 public:
  // Of one tenant.
  struct Report {
    std::string tenant;
    std::string uid;
    Traffic total;       // Since it was first seen.
    double seconds = 0;  // That `recent` is of: 60 to 70, less at first.
    Traffic recent;      // Of the last minute.
    // The metrics with most series, as far as looking at one series of each
    // part tells: name and share of the series.
    std::vector<std::pair<std::string, double>> top_metrics;
  };

  // A part of a tenant, and the name of one of its metrics, or nothing.
  void Note(absl::string_view tenant, absl::string_view uid,
            const Traffic& traffic, absl::string_view metric, absl::Time now)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Those with most samples of late first, at most `most`; only `tenant`, if it
  // is not empty.
  std::vector<Report> Reports(size_t most, absl::string_view tenant,
                              absl::Time now) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  static constexpr int64_t kSlotSeconds = 10;
  static constexpr int64_t kSlots = 7;
  static constexpr size_t kMetrics = 16;

  struct Slot {
    int64_t number = -1;  // Its time over kSlotSeconds.
    Traffic traffic;
  };
  struct Entry {
    std::string uid;
    absl::Time first;
    absl::Time last;
    Traffic total;
    std::array<Slot, kSlots> slots;
    // Space-saving: a new name takes the place and the weight of the least one.
    std::vector<std::pair<std::string, int64_t>> metrics;
  };

  static void NoteMetric(absl::string_view metric, int64_t weight,
                         Entry* entry);
  static Report ReportOf(const std::string& tenant, const Entry& entry,
                         absl::Time now);
  void Sweep(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable sync::Mutex mutex_;
  absl::flat_hash_map<std::string, Entry> tenants_ ABSL_GUARDED_BY(mutex_);
  size_t sweep_at_ ABSL_GUARDED_BY(mutex_) = 64;
};

}  // namespace insula::ingest_gateway
