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
// vector, then its parameter. Where each hangs, to put another one there. Null
// from the first index that has none.
inline ExprPtr* ChildSlot(Expr& expr, size_t index) {
  const auto nth = [index](ExprPtr* first, ExprPtr* second) {
    ExprPtr* slot = index == 0 ? first : index == 1 ? second : nullptr;
    return slot == nullptr || *slot == nullptr ? nullptr : slot;
  };
  switch (expr.kind) {
    case ExprKind::kAggregate: {
      auto& node = static_cast<Aggregate&>(expr);
      return nth(&node.expr, &node.parameter);
    }
    case ExprKind::kBinary: {
      auto& node = static_cast<Binary&>(expr);
      return nth(&node.lhs, &node.rhs);
    }
    case ExprKind::kCall: {
      auto& args = static_cast<Call&>(expr).args;
      return index < args.size() ? args.data() + index : nullptr;
    }
    case ExprKind::kMatrixSelector:
      return nth(&static_cast<MatrixSelector&>(expr).selector, nullptr);
    case ExprKind::kParen:
      return nth(&static_cast<Paren&>(expr).expr, nullptr);
    case ExprKind::kSubquery:
      return nth(&static_cast<Subquery&>(expr).expr, nullptr);
    case ExprKind::kUnary:
      return nth(&static_cast<Unary&>(expr).expr, nullptr);
    case ExprKind::kNumber:
    case ExprKind::kString:
    case ExprKind::kVectorSelector:
      return nullptr;
  }
  return nullptr;
}

inline Expr* Child(Expr& expr, size_t index) {
  const ExprPtr* slot = ChildSlot(expr, index);
  return slot == nullptr ? nullptr : slot->get();
}
inline const Expr* Child(const Expr& expr, size_t index) {
  return Child(const_cast<Expr&>(expr), index);
}

// Of such a kind no node ever has children.
constexpr bool IsLeaf(ExprKind kind) {
  return kind == ExprKind::kNumber || kind == ExprKind::kString ||
         kind == ExprKind::kVectorSelector;
}

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
