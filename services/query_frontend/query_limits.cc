#include "services/query_frontend/query_limits.h"

#include <simdjson.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/json_copy.h"

namespace insula::query_frontend {
namespace {

namespace v1 = ::insula::registry::v1;

// What costs are counted by: samples of a series are mostly so far apart.
constexpr absl::Duration kScrapeInterval = absl::Seconds(15);

absl::Duration DurationOf(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) +
         absl::Nanoseconds(duration.nanos());
}

fair_queue::Rate RateOf(const v1::Limits::Rate& rate) {
  fair_queue::Rate result;
  result.per_second = rate.per_second();
  result.burst = static_cast<int>(rate.burst());
  return result;
}

// 0 stands for none.
template <typename Number>
Number NarrowerOf(Number a, Number b) {
  if (a == 0 || b == 0) return std::max(a, b);
  return std::min(a, b);
}

absl::Status Beyond(absl::string_view tenant_id, absl::string_view what,
                    absl::string_view limit, absl::string_view value,
                    absl::string_view cure) {
  return absl::ResourceExhaustedError(absl::StrCat(
      "insula: tenant ", tenant_id, ": ", what, ", the limit ", limit, " is ",
      value, "; ", cure, " or have Limits.", limit, " raised"));
}

absl::Status CheckSelectors(size_t selectors, absl::string_view what,
                            absl::string_view tenant_id,
                            const QueryLimits& limits) {
  if (selectors <= limits.max_selectors) return absl::OkStatus();
  return Beyond(tenant_id, absl::StrCat(selectors, " ", what),
                "max_query_selectors", absl::StrCat(limits.max_selectors),
                "ask for less at once");
}

bool HasTimeRange(Endpoint endpoint) {
  return endpoint == Endpoint::kSeries || endpoint == Endpoint::kLabels ||
         endpoint == Endpoint::kLabelValues ||
         endpoint == Endpoint::kQueryExemplars;
}

}  // namespace

QueryLimits QueryLimitsOf(const v1::Limits& limits) {
  QueryLimits result;
  result.places.max_concurrent =
      static_cast<int>(limits.max_concurrent_queries());
  result.places.max_queued = static_cast<int>(limits.max_queued_queries());
  if (limits.has_max_query_range()) {
    result.max_range = DurationOf(limits.max_query_range());
  }
  result.max_steps = limits.max_query_steps();
  result.max_selectors = limits.max_query_selectors();
  result.max_response_bytes = limits.max_response_bytes();
  result.max_response_series = limits.max_response_series();
  result.max_cache_bytes = limits.max_cache_bytes();
  if (limits.has_query_timeout()) {
    result.timeout = DurationOf(limits.query_timeout());
  }
  return result;
}

QueryLimits Narrower(const QueryLimits& a, const QueryLimits& b) {
  QueryLimits result;
  result.places.max_concurrent =
      std::min(a.places.max_concurrent, b.places.max_concurrent);
  result.places.max_queued = std::min(a.places.max_queued, b.places.max_queued);
  result.max_range = std::min(a.max_range, b.max_range);
  result.max_steps = std::min(a.max_steps, b.max_steps);
  result.max_selectors = std::min(a.max_selectors, b.max_selectors);
  result.max_response_bytes =
      NarrowerOf(a.max_response_bytes, b.max_response_bytes);
  result.max_response_series =
      NarrowerOf(a.max_response_series, b.max_response_series);
  result.timeout = std::min(a.timeout, b.timeout);
  result.max_cache_bytes = NarrowerOf(a.max_cache_bytes, b.max_cache_bytes);
  return result;
}

fair_queue::RateZones ZonesOf(const v1::Limits::QueryRates& rates) {
  fair_queue::RateZones zones;
  zones.tenant = RateOf(rates.tenant());
  zones.uri = RateOf(rates.url());
  zones.address = RateOf(rates.address());
  if (rates.has_retry_after()) {
    zones.retry_after = DurationOf(rates.retry_after());
  }
  return zones;
}

absl::Status CheckParams(Endpoint endpoint, const ApiParams& params,
                         absl::string_view tenant_id,
                         const QueryLimits& limits) {
  RETURN_IF_ERROR(
      CheckSelectors(params.matches.size(), "match[]", tenant_id, limits));
  if (endpoint == Endpoint::kQueryRange && params.steps() > limits.max_steps) {
    return Beyond(tenant_id, absl::StrCat(params.steps(), " steps"),
                  "max_query_steps", absl::StrCat(limits.max_steps),
                  "take a longer step or a shorter range");
  }
  if (limits.max_range == absl::InfiniteDuration() || !HasTimeRange(endpoint)) {
    return absl::OkStatus();
  }
  if (!params.start.has_value() || !params.end.has_value()) {
    return Beyond(tenant_id, "the request has not both of start and end",
                  "max_query_range", absl::FormatDuration(limits.max_range),
                  "give both");
  }
  return CheckReach(*params.end - *params.start, tenant_id, limits);
}

absl::Status CheckCost(const fair_queue::QueryCost& cost,
                       const ApiParams& params, absl::string_view tenant_id,
                       const QueryLimits& limits) {
  RETURN_IF_ERROR(CheckSelectors(static_cast<size_t>(cost.selectors),
                                 "selectors", tenant_id, limits));
  if (limits.max_range == absl::InfiniteDuration()) return absl::OkStatus();
  const absl::Duration range =
      params.start.has_value() && params.end.has_value()
          ? *params.end - *params.start
          : absl::ZeroDuration();
  return CheckReach(range + cost.lookback + params.lookback, tenant_id, limits);
}

absl::Status CheckReach(absl::Duration reach, absl::string_view tenant_id,
                        const QueryLimits& limits) {
  if (reach <= limits.max_range) return absl::OkStatus();
  return Beyond(tenant_id,
                absl::StrCat("the request reaches over ",
                             absl::FormatDuration(reach), " of data"),
                "max_query_range", absl::FormatDuration(limits.max_range),
                "ask for a shorter time");
}

double CostOfReach(absl::Duration reach) {
  return std::max(1.0, absl::FDivDuration(reach, kScrapeInterval));
}

absl::StatusOr<fair_queue::QueryCost> CostOf(const promql::Expr& query,
                                             const ApiParams& params) {
  return fair_queue::CostOf(query, params.steps(), kScrapeInterval);
}

absl::Status TooManySeries() {
  return absl::ResourceExhaustedError("max_response_series");
}

bool IsTooManySeries(const absl::Status& status) {
  return status == TooManySeries();
}

DataReader WithAtMost(uint64_t max_series, DataReader reader) {
  return [max_series,
          reader = std::move(reader)](const simdjson::dom::element& data)
             -> absl::StatusOr<std::optional<std::string>> {
    simdjson::dom::array all;
    const bool is_list = data.get(all) == simdjson::SUCCESS ||
                         ((StringAt(data, "resultType") == "vector" ||
                           StringAt(data, "resultType") == "matrix") &&
                          data["result"].get(all) == simdjson::SUCCESS);
    if (is_list && all.size() > max_series) {
      return TooManySeries();
    }
    return reader(data);
  };
}

}  // namespace insula::query_frontend
