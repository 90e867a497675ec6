// Answers that no store is asked for.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/auth/caller.h"
#include "services/query_frontend/endpoint.h"
#include "services/query_frontend/params.h"
#include "services/query_frontend/pools.h"

namespace insula::query_frontend {

// Whether LocalAnswer() answers `endpoint`.
bool IsLocal(Endpoint endpoint);

// The JSON of:
// - format_query: the query as Prometheus would write it;
// - parse_query: its tree;
// - buildinfo;
// - explain: what the tenant reads, and what its query becomes. Where its store
//   is, is not told.
// INVALID_ARGUMENT, in Prometheus' words, for what is no query.
// FAILED_PRECONDITION for one that can't be confined, PERMISSION_DENIED and
// UNAVAILABLE as PolicyOf().
absl::StatusOr<std::string> LocalAnswer(Endpoint endpoint,
                                        const ApiParams& params,
                                        const auth::Caller& caller,
                                        Pools* pools);

}  // namespace insula::query_frontend
