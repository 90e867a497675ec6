// Walks over the tree of an expression, without recursion.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/promql/ast.h"

namespace insula::promql {

// The children of `expr` in the order of evaluation: for an aggregation its
// vector, then its parameter. Null from the first index that has none.
const Expr* Child(const Expr& expr, size_t index);
Expr* Child(Expr& expr, size_t index);

// Where the child hangs, to put another one there. Null if there is none, and
// for an index beyond.
ExprPtr* ChildSlot(Expr& expr, size_t index);

// Calls `visit` for `root` and everything below, a node before its children,
// until it fails. `visit` may change the node but not free it. A node of a kind
// that this code does not know is INTERNAL: nothing is passed over in silence.
absl::Status Visit(Expr& root, absl::FunctionRef<absl::Status(Expr&)> visit);
absl::Status Visit(const Expr& root,
                   absl::FunctionRef<absl::Status(const Expr&)> visit);

// Every vector selector, wherever it stands: in arguments, in the parameter of
// an aggregation, below ranges and subqueries. The pointers live as long as the
// tree. Fails as Visit() does.
absl::StatusOr<std::vector<VectorSelector*>> Selectors(Expr& root);
absl::StatusOr<std::vector<const VectorSelector*>> Selectors(const Expr& root);

}  // namespace insula::promql
