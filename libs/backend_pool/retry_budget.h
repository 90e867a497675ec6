// How many requests may be sent a second time.
#pragma once

#include "absl/base/thread_annotations.h"
#include "libs/sync/mutex.h"

namespace insula::backend_pool {

// Each request earns a part of a retry, so that retries are at most that part
// of the traffic, and do not multiply what a store that is down gets to bear.
// What is saved up is bounded. Starts full. Thread-safe.
class RetryBudget {
 public:
  struct Options {
    double ratio = 0.1;  // Of a retry, earned by each request.
    double most = 10;    // Retries saved up.
  };

  explicit RetryBudget(Options options)
      : options_(options), saved_(options.most) {}

  // A request is sent for the first time.
  void NoteRequest() ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether a request may be sent again; pays for it.
  bool TakeRetry() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const Options options_;
  sync::Mutex mutex_;
  double saved_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::backend_pool
