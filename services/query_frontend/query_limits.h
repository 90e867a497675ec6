// What the queries of a tenant may cost.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/fair_queue/query_cost.h"
#include "libs/fair_queue/request_rates.h"
#include "libs/fair_queue/scheduler.h"
#include "libs/promql/ast.h"
#include "services/query_frontend/answer_data.h"
#include "services/query_frontend/endpoint.h"
#include "services/query_frontend/params.h"

namespace insula::query_frontend {

// Limits of the registry, as far as they are about queries.
struct QueryLimits {
  fair_queue::TenantLimits places;
  absl::Duration max_range = absl::InfiniteDuration();
  int64_t max_steps = 0;
  size_t max_selectors = 0;
  size_t max_response_bytes = 0;     // 0: none but the service's.
  uint64_t max_response_series = 0;  // 0: none.
  absl::Duration timeout = absl::InfiniteDuration();
  uint64_t max_cache_bytes = 0;  // 0: the service's.
};

// Of limits with their defaults in place.
QueryLimits QueryLimitsOf(const registry::v1::Limits& limits);

// The narrower one in each.
QueryLimits Narrower(const QueryLimits& a, const QueryLimits& b);

fair_queue::RateZones ZonesOf(const registry::v1::Limits::QueryRates& rates);

// Whether the parameters of a request are within `limits`, as far as they show
// without the query in them. RESOURCE_EXHAUSTED, as for the next one, with the
// name of the limit and what to do.
absl::Status CheckParams(Endpoint endpoint, const ApiParams& params,
                         absl::string_view tenant_id,
                         const QueryLimits& limits);

// The same of a query with these parameters.
absl::Status CheckCost(const fair_queue::QueryCost& cost,
                       const ApiParams& params, absl::string_view tenant_id,
                       const QueryLimits& limits);

// The same of what reaches over that much of data.
absl::Status CheckReach(absl::Duration reach, absl::string_view tenant_id,
                        const QueryLimits& limits);

// What one selector of raw series costs that reaches so far.
double CostOfReach(absl::Duration reach);

// What `query` costs when it is asked with these parameters. Fails as
// fair_queue::CostOf().
absl::StatusOr<fair_queue::QueryCost> CostOf(const promql::Expr& query,
                                             const ApiParams& params);

// RESOURCE_EXHAUSTED of an answer with more than max_response_series.
absl::Status TooManySeries();
bool IsTooManySeries(const absl::Status& status);

// `reader` for answers with at most `max_series` series, or values of a label;
// TooManySeries() for others.
DataReader WithAtMost(uint64_t max_series, DataReader reader);

}  // namespace insula::query_frontend
