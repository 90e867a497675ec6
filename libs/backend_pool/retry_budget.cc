#include "libs/backend_pool/retry_budget.h"

#include <algorithm>

namespace insula::backend_pool {

void RetryBudget::NoteRequest() {
  sync::MutexLock lock(&mutex_);
  saved_ = std::min(options_.most, saved_ + options_.ratio);
}

bool RetryBudget::TakeRetry() {
  sync::MutexLock lock(&mutex_);
  if (saved_ < 1) return false;
  saved_ -= 1;
  return true;
}

}  // namespace insula::backend_pool
