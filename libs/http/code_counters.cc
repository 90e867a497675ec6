#include "libs/http/code_counters.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace insula::http {

CodeCounters::CodeCounters(metrics::Registry* registry, std::string name,
                           std::string help, metrics::Labels labels)
    : registry_(registry),
      name_(std::move(name)),
      help_(std::move(help)),
      labels_(std::move(labels)) {}

void CodeCounters::Increment(int http_status) {
  const bool known = http_status > 0 && http_status < 600;
  Slot* slot = &by_http_status_[known ? http_status : 0];
  if (auto* counter = slot->load(std::memory_order_acquire)) {
    counter->Increment();
  } else {
    Increment(slot, absl::StrCat(known ? http_status : 0));
  }
}

void CodeCounters::Increment(absl::StatusCode code) {
  const auto index = static_cast<size_t>(code);
  Slot* slot = &by_code_[index < by_code_.size() ? index : 2];
  if (auto* counter = slot->load(std::memory_order_acquire)) {
    counter->Increment();
  } else {
    Increment(slot, absl::StatusCodeToString(code));
  }
}

void CodeCounters::Increment(Slot* slot, const std::string& code) {
  metrics::Labels labels = labels_;
  labels["code"] = code;
  // Two threads that come here at once get the same counter.
  metrics::Counter& counter = registry_->AddCounter(name_, help_, labels);
  slot->store(&counter, std::memory_order_release);
  counter.Increment();
}

}  // namespace insula::http
