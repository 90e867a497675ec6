// Says what a query of a tenant becomes.
#pragma once

#include "absl/status/statusor.h"
#include "insula/query/v1/query.pb.h"
#include "libs/tenancy/snapshot.h"
#include "services/query_frontend/pools.h"

namespace insula::query_frontend {

// Finds policy and text of a query as the HTTP API does, and asks nobody. See
// ExplainResponse.
//
// INVALID_ARGUMENT: the query is refused, the message says where and why.
// NOT_FOUND: no such tenant. FAILED_PRECONDITION: it may not read, or has no
// store to read. UNAVAILABLE: nothing is known of tenants yet.
absl::StatusOr<query::v1::ExplainResponse> ExplainQuery(
    const query::v1::ExplainRequest& request, const tenancy::Snapshot& snapshot,
    Pools* pools);

}  // namespace insula::query_frontend
