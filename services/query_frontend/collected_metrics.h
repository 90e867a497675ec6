// Samples of a whole store, for operators: /collected-metrics.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/query_frontend/backend.h"
#include "services/query_frontend/policy.h"

namespace insula::query_frontend {

// What to ask for `query`, or, if that is empty, for ten names that exporters
// often have. INVALID_ARGUMENT if it is no query whose answer is series.
absl::StatusOr<std::vector<std::string>> CollectedQueries(
    absl::string_view query);

// "# Job: STORE/QUERY (2 metrics)" and a line for each of the ten series with
// the largest values of `query`, one of CollectedQueries(). Asks the store of
// `policy` for series of all tenants. Errors are those of Backend::Ask().
boost::asio::awaitable<absl::StatusOr<std::string>> CollectMetric(
    std::string query, Policy policy, Backend* backend, std::string request_id,
    absl::Time deadline);

}  // namespace insula::query_frontend
