// How long things took, in little memory.
#pragma once

#include <array>
#include <cstdint>

#include "absl/time/time.h"

namespace insula::loadgen {

// Counts durations in buckets, each 1/64 wide at most, from 1 µs to 19 hours;
// what is outside counts as the nearest of them. Not thread-safe.
class Latencies {
 public:
  void Add(absl::Duration took);
  void Add(const Latencies& others);

  int64_t count() const { return count_; }
  absl::Duration max() const { return max_; }  // Exact; 0 of nothing.

  // The time within which this share of them was done, at most 1/64 too high:
  // 0.99 is the 99th percentile. 0 of nothing.
  absl::Duration Quantile(double share) const;

 private:
  static constexpr int kBits = 6;     // 64 buckets for each power of two.
  static constexpr int kPowers = 31;  // The highest begins at 2^36 µs.

  static int BucketOf(int64_t microseconds);
  static int64_t EndOf(int bucket);

  std::array<int64_t, (kPowers + 1) << kBits> counts_{};
  int64_t count_ = 0;
  absl::Duration max_;
};

}  // namespace insula::loadgen
