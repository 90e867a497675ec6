// The check of limits.
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/object_checks.h"

namespace insula::tenancy::internal {
namespace {

namespace v1 = ::insula::registry::v1;

constexpr uint32_t kMaxLabelNames = 1000;
constexpr uint32_t kMaxLabelBytes = 1 << 20;
constexpr uint32_t kMaxQueryBytes = 1 << 20;
constexpr double kMaxRate = 1e12;
constexpr uint64_t kMaxSeriesPerWrite = 10'000'000;
constexpr uint64_t kMaxActiveSeries = 1'000'000'000;
constexpr uint64_t kMaxQueueBytes = uint64_t{1} << 50;
constexpr uint32_t kMaxConcurrentQueries = 10'000;
constexpr uint32_t kMaxQueuedQueries = 100'000;
constexpr double kMaxRequestRate = 1e6;
constexpr uint32_t kMaxRequestBurst = 1'000'000;
constexpr uint32_t kMaxSteps = 11'001;
constexpr uint32_t kMaxSelectors = 10'000;
constexpr uint64_t kMaxResponseBytes = 1 << 30;
constexpr uint64_t kMaxCacheBytes = uint64_t{1} << 40;
constexpr uint64_t kMaxResponseSeries = 10'000'000;

absl::Status CheckAtMost(absl::string_view field, uint64_t value,
                         uint64_t most) {
  if (value <= most) return absl::OkStatus();
  return Wrong(field, absl::StrCat("is ", value, ", may be at most ", most));
}

// `name`_per_second and `name`_burst.
absl::Status CheckRate(absl::string_view name, double per_second,
                       double burst) {
  const std::string rate_field = absl::StrCat("spec.", name, "_per_second");
  const std::string burst_field = absl::StrCat("spec.", name, "_burst");
  // Written so that NaN fails too.
  if (!(per_second >= 0 && per_second <= kMaxRate)) {
    return Wrong(rate_field, "must be a number from 0 to 1e12");
  }
  if (!(burst >= 0 && burst <= kMaxRate)) {
    return Wrong(burst_field, "must be a number from 0 to 1e12");
  }
  if (burst > 0 && per_second == 0) {
    return Wrong(burst_field, absl::StrCat("needs ", rate_field));
  }
  return absl::OkStatus();
}

// What is about writes, and about samples.
absl::Status CheckWriteLimits(const v1::Limits& limits) {
  RETURN_IF_ERROR(CheckAtMost("spec.max_label_names", limits.max_label_names(),
                              kMaxLabelNames));
  RETURN_IF_ERROR(CheckAtMost("spec.max_label_name_bytes",
                              limits.max_label_name_bytes(), kMaxLabelBytes));
  RETURN_IF_ERROR(CheckAtMost("spec.max_label_value_bytes",
                              limits.max_label_value_bytes(), kMaxLabelBytes));
  RETURN_IF_ERROR(CheckRate("samples", limits.samples_per_second(),
                            limits.samples_burst()));
  RETURN_IF_ERROR(CheckRate("write_requests",
                            limits.write_requests_per_second(),
                            limits.write_requests_burst()));
  if (limits.write_requests_burst() > 0 && limits.write_requests_burst() < 1) {
    return Wrong("spec.write_requests_burst",
                 "must be at least 1: a write is one or none");
  }
  RETURN_IF_ERROR(CheckRate("write_bytes", limits.write_bytes_per_second(),
                            limits.write_bytes_burst()));
  RETURN_IF_ERROR(CheckAtMost("spec.max_series_per_write",
                              limits.max_series_per_write(),
                              kMaxSeriesPerWrite));
  RETURN_IF_ERROR(CheckAtMost("spec.max_active_series",
                              limits.max_active_series(), kMaxActiveSeries));
  RETURN_IF_ERROR(CheckAtMost("spec.max_queue_bytes", limits.max_queue_bytes(),
                              kMaxQueueBytes));
  if (!v1::Limits::QueueFull_IsValid(limits.queue_full())) {
    return Wrong("spec.queue_full",
                 absl::StrCat(static_cast<int>(limits.queue_full()),
                              " is not known: must be QUEUE_FULL_REFUSE or "
                              "QUEUE_FULL_DROP_OLDEST"));
  }
  return absl::OkStatus();
}

absl::Status CheckRequestRate(absl::string_view field,
                              const v1::Limits::Rate& rate) {
  // Written so that NaN fails too.
  if (!(rate.per_second() >= 0 && rate.per_second() <= kMaxRequestRate)) {
    return Wrong(absl::StrCat(field, ".per_second"),
                 "must be a number from 0 to 1e6");
  }
  if (rate.burst() > 0 && rate.per_second() == 0) {
    return Wrong(absl::StrCat(field, ".burst"), "needs per_second beside it");
  }
  return CheckAtMost(absl::StrCat(field, ".burst"), rate.burst(),
                     kMaxRequestBurst);
}

absl::Status CheckQueryRates(absl::string_view field,
                             const v1::Limits::QueryRates& rates) {
  const std::string base = absl::StrCat("spec.", field);
  RETURN_IF_ERROR(
      CheckRequestRate(absl::StrCat(base, ".tenant"), rates.tenant()));
  RETURN_IF_ERROR(CheckRequestRate(absl::StrCat(base, ".url"), rates.url()));
  RETURN_IF_ERROR(
      CheckRequestRate(absl::StrCat(base, ".address"), rates.address()));
  return rates.has_retry_after()
             ? CheckDuration(absl::StrCat(base, ".retry_after"),
                             rates.retry_after(), absl::Seconds(1))
             : absl::OkStatus();
}

absl::Status CheckQueryLimits(const v1::Limits& limits) {
  RETURN_IF_ERROR(CheckAtMost("spec.max_query_bytes", limits.max_query_bytes(),
                              kMaxQueryBytes));
  RETURN_IF_ERROR(CheckAtMost("spec.max_concurrent_queries",
                              limits.max_concurrent_queries(),
                              kMaxConcurrentQueries));
  RETURN_IF_ERROR(CheckAtMost("spec.max_queued_queries",
                              limits.max_queued_queries(), kMaxQueuedQueries));
  RETURN_IF_ERROR(CheckQueryRates("query_rates", limits.query_rates()));
  RETURN_IF_ERROR(CheckQueryRates("api_rates", limits.api_rates()));
  if (limits.has_max_query_range()) {
    RETURN_IF_ERROR(CheckDuration("spec.max_query_range",
                                  limits.max_query_range(), absl::Seconds(1),
                                  absl::Hours(24 * 366 * 100)));
  }
  RETURN_IF_ERROR(
      CheckAtMost("spec.max_query_steps", limits.max_query_steps(), kMaxSteps));
  RETURN_IF_ERROR(CheckAtMost("spec.max_query_selectors",
                              limits.max_query_selectors(), kMaxSelectors));
  RETURN_IF_ERROR(CheckAtMost("spec.max_response_bytes",
                              limits.max_response_bytes(), kMaxResponseBytes));
  RETURN_IF_ERROR(CheckAtMost("spec.max_response_series",
                              limits.max_response_series(),
                              kMaxResponseSeries));
  RETURN_IF_ERROR(CheckAtMost("spec.max_cache_bytes", limits.max_cache_bytes(),
                              kMaxCacheBytes));
  return limits.has_query_timeout()
             ? CheckDuration("spec.query_timeout", limits.query_timeout(),
                             absl::Milliseconds(1))
             : absl::OkStatus();
}

}  // namespace

absl::Status CheckLimits(const v1::Limits& limits) {
  RETURN_IF_ERROR(CheckWriteLimits(limits));
  return CheckQueryLimits(limits);
}

}  // namespace insula::tenancy::internal
