// Where code gets the time from, so that tests own it.
#pragma once

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace insula {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall-clock time; may jump.
  virtual absl::Time Now() const = 0;
};

// The system's clock.
class RealClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
};

}  // namespace insula
