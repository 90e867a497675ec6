// What verifiers count, all in the same way.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/metrics/metrics.h"

namespace insula::auth {

// insula_auth_verifications_total{method,result}: `ok` and `cached` (said so
// before), `wrong` (401), `refused` (403), `limited` (429), `unavailable`
// (503).
class VerifierMetrics {
 public:
  // `metrics` outlives it.
  VerifierMetrics(metrics::Registry* metrics, absl::string_view method);

  void Cached() { cached_.Increment(); }
  void Count(const absl::Status& status);

 private:
  metrics::Counter& ok_;
  metrics::Counter& cached_;
  metrics::Counter& wrong_;
  metrics::Counter& refused_;
  metrics::Counter& limited_;
  metrics::Counter& unavailable_;
};

}  // namespace insula::auth
