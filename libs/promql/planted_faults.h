// Faults of confinement, one at a time, for the suite `queries`, which must
// find each. In the library target `promql_faulty` alone, which nothing that is
// installed may link.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/promql/ast.h"
#include "libs/promql/clause_union.h"

namespace insula::promql {

// Whether the environment's INSULA_FAULT names this one:
// aggregation_parameter, subquery, right_operand, at_modifier, match_in_body,
// cache_key, memory_key, union_arm, alike_series. Any other word is none.
bool IsPlanted(absl::string_view fault);

// The selectors that a confinement with the planted fault reaches.
absl::StatusOr<std::vector<VectorSelector*>> ReachedSelectors(Expr& root);

// `query` without what confinement to one of `clauses` has added: for a cache
// whose key knows nothing of policies. As it is if it can't be parsed.
std::string WithoutPolicy(const std::string& query, const Clauses& clauses);

}  // namespace insula::promql
