// Remembers which tenants have which metrics of a sender, for metadata that
// comes without series.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "libs/sync/mutex.h"

namespace insula::remote_write {

// What one sender has sent says nothing to another: metrics are remembered by
// sender. Metrics that were not seen for long make room for others.
// Thread-safe.
class MetricTenants {
 public:
  struct Options {
    // Metrics of all senders that are held; some 100 bytes each.
    size_t max_metrics = 200'000;
    // Senders send the same metrics all the time: one request of so many is
    // looked at.
    uint32_t one_of = 8;
  };
  // A metric that more tenants have is remembered for so many of them.
  static constexpr size_t kMaxTenants = 64;

  explicit MetricTenants(Options options);

  // Whether the next request should be noted.
  bool IsDue() ABSL_LOCKS_EXCLUDED(mutex_);

  // Takes the names of the metrics in `body`, a WriteRequest, as those of
  // `tenant`, whom any text may stand for.
  void Note(absl::string_view sender, absl::string_view tenant,
            absl::string_view body) ABSL_LOCKS_EXCLUDED(mutex_);

  // The tenants that have a metric of this family: of its name, or of its name
  // with a suffix of histograms, summaries and counters. In no order.
  std::vector<std::string> Find(absl::string_view sender,
                                absl::string_view family)
      ABSL_LOCKS_EXCLUDED(mutex_);

  size_t size() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // Filled up, it becomes the older one, and that is forgotten.
  struct Generation {
    absl::flat_hash_map<uint64_t, absl::InlinedVector<uint32_t, 2>> metrics;
    std::vector<std::string> tenants;
    absl::flat_hash_map<std::string, uint32_t> index_of;
  };

  uint64_t KeyOf(absl::string_view sender, absl::string_view metric) const;
  void Add(uint64_t key, absl::string_view tenant)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const uint64_t seed_;  // So that nobody can choose metrics that collide.
  sync::Mutex mutex_;
  uint32_t turn_ ABSL_GUARDED_BY(mutex_) = 0;
  std::array<Generation, 2> generations_ ABSL_GUARDED_BY(mutex_);
  size_t newer_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace insula::remote_write
