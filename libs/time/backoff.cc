#include "libs/time/backoff.h"

#include <algorithm>

namespace insula {

absl::Duration Backoff::Next() {
  const absl::Duration wait =
      ceiling_ * absl::Uniform(absl::IntervalClosed, random_, 0.5, 1.0);
  ceiling_ = std::min(ceiling_ * 2, options_.maximum);
  return wait;
}

}  // namespace insula
