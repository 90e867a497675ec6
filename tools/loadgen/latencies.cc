#include "tools/loadgen/latencies.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

namespace insula::loadgen {

// Below 2^kBits a bucket is a microsecond. From then on the bits below the
// highest kBits + 1 do not count.
int Latencies::BucketOf(int64_t microseconds) {
  const auto n = static_cast<uint64_t>(std::max<int64_t>(microseconds, 0));
  const int shift =
      std::max(static_cast<int>(std::bit_width(n)) - kBits - 1, 0);
  if (shift >= kPowers) return ((kPowers + 1) << kBits) - 1;
  return (shift << kBits) + static_cast<int>(n >> shift);
}

int64_t Latencies::EndOf(int bucket) {
  const int shift = std::max((bucket >> kBits) - 1, 0);
  return (int64_t{bucket} - (int64_t{shift} << kBits) + 1) << shift;
}

void Latencies::Add(absl::Duration took) {
  ++counts_[static_cast<size_t>(BucketOf(absl::ToInt64Microseconds(took)))];
  ++count_;
  max_ = std::max(max_, took);
}

void Latencies::Add(const Latencies& others) {
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += others.counts_[i];
  count_ += others.count_;
  max_ = std::max(max_, others.max_);
}

absl::Duration Latencies::Quantile(double share) const {
  const auto wanted = static_cast<int64_t>(
      std::ceil(std::clamp(share, 0.0, 1.0) * static_cast<double>(count_)));
  int64_t seen = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (counts_[i] > 0 && seen >= wanted) {
      return std::min(absl::Microseconds(EndOf(static_cast<int>(i))), max_);
    }
  }
  return max_;
}

}  // namespace insula::loadgen
