// What a Spool tells of itself.
#pragma once

#include <array>

#include "libs/metrics/metrics.h"
#include "libs/spool/spool.h"

namespace insula::spool {

inline constexpr int kDropCount = 5;

struct SpoolMetrics {
  explicit SpoolMetrics(metrics::Registry* registry);

  metrics::Counter& DroppedRecords(Spool::Drop reason) const {
    return *dropped_records[static_cast<size_t>(reason)];
  }
  metrics::Counter& DroppedSamples(Spool::Drop reason) const {
    return *dropped_samples[static_cast<size_t>(reason)];
  }

  metrics::Gauge& bytes;
  metrics::Gauge& records;
  metrics::Gauge& tenants;
  metrics::Gauge& oldest_seconds;
  metrics::Gauge& disk_bytes;
  metrics::Gauge& writable;
  metrics::Counter& appended;
  metrics::Counter& refused_full;
  metrics::Counter& refused_unwritable;
  metrics::Counter& refused_busy;
  metrics::Counter& quarantined;
  metrics::Counter& reopened;
  metrics::Histogram& commit_seconds;
  std::array<metrics::Counter*, kDropCount> dropped_records;
  std::array<metrics::Counter*, kDropCount> dropped_samples;
};

}  // namespace insula::spool
