// A clock that stands still until a test moves it.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "libs/sync/mutex.h"
#include "libs/time/clock.h"

namespace insula {

class FakeClock final : public Clock {
 public:
  explicit FakeClock(absl::Time now = absl::UnixEpoch()) : now_(now) {}

  absl::Time Now() const override {
    sync::MutexLock lock(&mutex_);
    return now_;
  }
  void Advance(absl::Duration by) {
    sync::MutexLock lock(&mutex_);
    now_ += by;
  }

 private:
  mutable sync::Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula
