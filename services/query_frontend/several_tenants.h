// Several tenants at once.
//
// The answer is that of a Prometheus which holds the series of all of them,
// each with one label more: `__tenant_id__`, the tenant that sees it. A series
// that two of them see is there twice. Matchers on that label choose tenants.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/query_frontend/answer_data.h"
#include "services/query_frontend/json_copy.h"
#include "services/query_frontend/params.h"
#include "services/query_frontend/policy.h"
#include "services/query_frontend/route.h"

namespace insula::query_frontend {

inline constexpr absl::string_view kTenantLabel = "__tenant_id__";

// A policy as if all of `policies`, at least two, were one tenant: for a store
// that keeps them apart by a header and itself adds the label. Nothing if the
// store is to be asked about each of them. FAILED_PRECONDITION if they have not
// one store, or one that can't be asked for several.
absl::StatusOr<std::unique_ptr<Policy>> JoinPolicies(
    const std::vector<Policy>& policies);

// The query for the one store of all: each selector, or the function of its
// range, becomes `or` between what each tenant sees of it, with the label put
// on by label_replace(). A series that has that label of its own loses it.
// Errors are those of ConfineQuery(); FAILED_PRECONDITION also for a range
// selector by itself, and one beside a selector in the arguments of a function.
absl::StatusOr<ConfinedQuery> ConfineQueryForTenants(
    absl::string_view query, const ApiParams& params,
    const std::vector<Policy>& policies);

// Of query and query_range, `raw` as in ReadResult(): each series must be one
// that the tenant of its label may read.
DataReader ReadTenantsResult(bool range_query, bool raw,
                             const std::vector<Policy>& policies);

// The `params` that concern the tenant of `policy`: without matchers on the
// label. False if by these nothing of the tenant is asked for. INVALID_ARGUMENT
// as ConfineMatches().
absl::StatusOr<bool> KeepMatchesOf(const Policy& policy, ApiParams* params);

// One answer of the data to the same question of each tenant, to series, labels
// or the values of a label. Not thread-safe.
class TenantsUnion {
 public:
  TenantsUnion(const Route& route, size_t max_bytes)
      : endpoint_(route.endpoint),
        of_tenants_(route.label_name == kTenantLabel),
        max_bytes_(max_bytes) {}

  // A reader that takes what `check` lets pass for `tenant_id`, and shares
  // this. RESOURCE_EXHAUSTED: all together are too large.
  static DataReader ReaderOf(std::shared_ptr<TenantsUnion> all,
                             std::string tenant_id, DataReader check);

  // {"status":"success","data":...} with at most `limit` elements; 0: all.
  std::string Finish(size_t limit) &&;

 private:
  absl::Status Add(const std::string& tenant_id,
                   const simdjson::dom::element& data);
  absl::Status AddText(std::string text);

  const Endpoint endpoint_;
  const bool of_tenants_;  // Values of the tenant label itself.
  const size_t max_bytes_;
  size_t bytes_ = 0;
  std::set<std::string> texts_;  // JSON of each element.
};

}  // namespace insula::query_frontend
