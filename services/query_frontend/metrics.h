// The service's metrics.
#pragma once

#include <array>
#include <atomic>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/metrics/metrics.h"
#include "services/query_frontend/endpoint.h"
#include "services/query_frontend/proxy_metrics.h"

namespace insula::query_frontend {

// Thread-safe.
struct Metrics {
  explicit Metrics(metrics::Registry* registry)
      : refused_path(Refused(registry, "path")),
        refused_method(Refused(registry, "method")),
        refused_credentials(Refused(registry, "credentials")),
        refused_parameter(Refused(registry, "parameter")),
        refused_query(Refused(registry, "query")),
        refused_policy(Refused(registry, "policy")),
        refused_limit(Refused(registry, "limit")),
        refused_rate(Refused(registry, "rate")),
        refused_queue(Refused(registry, "queue")),
        leaks_prevented(registry->AddCounter(
            "query_frontend_leaks_prevented_total",
            "Answers withheld because they held a series or value that the "
            "tenant must not see. Always a fault of the upstream or of ours.")),
        upstream_unreachable(UpstreamError(registry, "unreachable")),
        upstream_timeout(UpstreamError(registry, "timeout")),
        upstream_too_large(UpstreamError(registry, "too_large")),
        upstream_garbage(UpstreamError(registry, "garbage")),
        unnamed_of_one_name(Unnamed(registry, "one_name")),
        unnamed_unlike(Unnamed(registry, "unlike")),
        unnamed_alike(Unnamed(registry, "alike")),
        unnamed_unknown(Unnamed(registry, "unknown")),
        upstream_seconds(registry->AddHistogram(
            "query_frontend_upstream_seconds",
            "Time from sending a request to an upstream to its answer.")),
        proxy(registry),
        registry_(registry) {}

  // Answers given to `endpoint` with that HTTP status.
  metrics::Counter& Requests(Endpoint endpoint, int code) {
    // A registry's look-up takes a lock, so children are remembered.
    std::atomic<metrics::Counter*>& child =
        requests_[static_cast<size_t>(endpoint)][CodeIndex(code)];
    metrics::Counter* counter = child.load(std::memory_order_acquire);
    if (counter == nullptr) {
      counter = &registry_->AddCounter(
          "query_frontend_requests_total", "Requests answered.",
          {{"endpoint", std::string(EndpointName(endpoint))},
           {"code", absl::StrCat(code)}});
      child.store(counter, std::memory_order_release);
    }
    return *counter;
  }

  metrics::Counter& refused_path;
  metrics::Counter& refused_method;
  metrics::Counter& refused_credentials;
  metrics::Counter& refused_parameter;
  metrics::Counter& refused_query;
  metrics::Counter& refused_policy;
  metrics::Counter& refused_limit;
  metrics::Counter& refused_rate;
  metrics::Counter& refused_queue;
  metrics::Counter& leaks_prevented;
  metrics::Counter& upstream_unreachable;
  metrics::Counter& upstream_timeout;
  metrics::Counter& upstream_too_large;
  metrics::Counter& upstream_garbage;
  metrics::Counter& unnamed_of_one_name;
  metrics::Counter& unnamed_unlike;
  metrics::Counter& unnamed_alike;
  metrics::Counter& unnamed_unknown;
  metrics::Histogram& upstream_seconds;
  ProxyMetrics proxy;

 private:
  // We answer with 200 and 400 to 504 only.
  static constexpr size_t kCodes = 106;
  static size_t CodeIndex(int code) {
    return code >= 400 && code < 505 ? static_cast<size_t>(code - 399) : 0;
  }

  static metrics::Counter& Refused(metrics::Registry* registry,
                                   absl::string_view reason) {
    return registry->AddCounter(
        "query_frontend_refused_total",
        "Requests refused before any upstream saw them.",
        {{"reason", std::string(reason)}});
  }
  static metrics::Counter& Unnamed(metrics::Registry* registry,
                                   absl::string_view series) {
    return registry->AddCounter(
        "query_frontend_unnamed_unions_total",
        "Selectors without a metric name below a function that drops it, to "
        "which several grants apply, by what the store says of their series: "
        "they are of one name, or unlike in other labels; or alike, or it is "
        "not known, and the query is refused.",
        {{"series", std::string(series)}});
  }
  static metrics::Counter& UpstreamError(metrics::Registry* registry,
                                         absl::string_view reason) {
    return registry->AddCounter("query_frontend_upstream_errors_total",
                                "Requests that an upstream did not answer, or "
                                "not as a Prometheus would.",
                                {{"reason", std::string(reason)}});
  }

  metrics::Registry* const registry_;
  std::array<std::array<std::atomic<metrics::Counter*>, kCodes>, kEndpointCount>
      requests_{};
};

}  // namespace insula::query_frontend
