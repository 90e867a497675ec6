#include "libs/auth/verifier_metrics.h"

namespace insula::auth {
namespace {

metrics::Counter& Checks(metrics::Registry* metrics, absl::string_view method,
                         const char* result) {
  return metrics->AddCounter(
      "insula_auth_verifications_total",
      "Credentials that a verifier was asked about, by outcome.",
      {{"method", std::string(method)}, {"result", result}});
}

}  // namespace

VerifierMetrics::VerifierMetrics(metrics::Registry* metrics,
                                 absl::string_view method)
    : ok_(Checks(metrics, method, "ok")),
      cached_(Checks(metrics, method, "cached")),
      wrong_(Checks(metrics, method, "wrong")),
      refused_(Checks(metrics, method, "refused")),
      limited_(Checks(metrics, method, "limited")),
      unavailable_(Checks(metrics, method, "unavailable")) {}

void VerifierMetrics::Count(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ok_.Increment();
    case absl::StatusCode::kUnauthenticated:
      return wrong_.Increment();
    case absl::StatusCode::kPermissionDenied:
      return refused_.Increment();
    case absl::StatusCode::kResourceExhausted:
      return limited_.Increment();
    default:
      return unavailable_.Increment();
  }
}

}  // namespace insula::auth
