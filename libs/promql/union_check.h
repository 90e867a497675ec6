// Proof that an expression shows nothing beyond a union of clauses.
#pragma once

#include "absl/status/status.h"
#include "libs/promql/ast.h"
#include "libs/promql/clause_union.h"

namespace insula::promql {

// Whether every series that passes all of `matchers` passes at least one of
// `clauses`, as far as can be proved from their text: a clause is held to the
// letter or by values, or in each case of a matcher that lists cases. Found by
// other means than the rewriting uses. Errs on the side of false.
bool IsCovered(const Clause& matchers, const Clauses& clauses);

// OK if every vector selector in `expr` is covered by `clauses`; INTERNAL if
// not.
absl::Status CheckConfinedToUnion(const Expr& expr, const Clauses& clauses);

}  // namespace insula::promql
