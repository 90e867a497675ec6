#include "services/ingest_gateway/tenant_rates.h"

namespace insula::ingest_gateway {
namespace {

using remote_write::Reason;
using Excess = TenantRates::Excess;

std::optional<Excess> TakeFrom(limits::KeyedTokenBuckets* buckets,
                               absl::string_view uid,
                               limits::TokenBucket::Options options,
                               int64_t tokens, Reason reason, absl::Time now) {
  if (options.rate <= 0) return std::nullopt;
  const auto wait = buckets->Take(uid, options, tokens, now);
  if (!wait) return std::nullopt;
  if (*wait == absl::InfiniteDuration()) {
    return Excess{Reason::kBurstExceeded, options.burst};
  }
  return Excess{reason, options.rate, *wait};
}

}  // namespace

std::optional<Excess> TenantRates::Take(absl::string_view tenant_uid,
                                        const tenancy::v1::Limits& limits,
                                        const remote_write::Counts& counts,
                                        size_t bytes, absl::Time now) {
  if (limits.max_series_per_write() > 0 &&
      counts.series > limits.max_series_per_write()) {
    return Excess{Reason::kMaxSeriesPerWrite,
                  static_cast<double>(limits.max_series_per_write())};
  }
  if (auto excess = TakeFrom(
          &requests_, tenant_uid,
          {limits.write_requests_per_second(), limits.write_requests_burst()},
          1, Reason::kRequestRateLimited, now)) {
    return excess;
  }
  const int64_t size = static_cast<int64_t>(bytes);
  if (auto excess = TakeFrom(
          &bytes_, tenant_uid,
          {limits.write_bytes_per_second(), limits.write_bytes_burst()}, size,
          Reason::kBytesRateLimited, now)) {
    requests_.Return(tenant_uid, 1);
    return excess;
  }
  if (auto excess =
          TakeFrom(&samples_, tenant_uid,
                   {limits.samples_per_second(), limits.samples_burst()},
                   counts.samples, Reason::kRateLimited, now)) {
    requests_.Return(tenant_uid, 1);
    bytes_.Return(tenant_uid, size);
    return excess;
  }
  return std::nullopt;
}

}  // namespace insula::ingest_gateway
