// A counter by status code, without a look-up for each request. For libs/http
// alone.
#pragma once

#include <array>
#include <atomic>
#include <string>

#include "absl/status/status.h"
#include "libs/metrics/metrics.h"

namespace insula::http {

// Adds the label `code` to a counter. Thread-safe.
class CodeCounters {
 public:
  CodeCounters(metrics::Registry* registry, std::string name, std::string help,
               metrics::Labels labels);

  void Increment(int http_status);        // code="200"
  void Increment(absl::StatusCode code);  // code="UNAVAILABLE"

 private:
  using Slot = std::atomic<metrics::Counter*>;
  void Increment(Slot* slot, const std::string& code);

  metrics::Registry* const registry_;
  const std::string name_;
  const std::string help_;
  const metrics::Labels labels_;
  std::array<Slot, 600> by_http_status_{};
  std::array<Slot, 17> by_code_{};
};

}  // namespace insula::http
