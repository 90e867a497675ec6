#include "libs/promql/visit.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/strings/str_cat.h"

namespace insula::promql {
namespace {

// False if the kind is none of the enumeration. A kind that is added there does
// not compile here until somebody has decided about it.
bool IsKnown(ExprKind kind) {
  switch (kind) {
    case ExprKind::kAggregate:
    case ExprKind::kBinary:
    case ExprKind::kCall:
    case ExprKind::kMatrixSelector:
    case ExprKind::kNumber:
    case ExprKind::kParen:
    case ExprKind::kString:
    case ExprKind::kSubquery:
    case ExprKind::kUnary:
    case ExprKind::kVectorSelector:
      return true;
  }
  return false;
}

// Of such a kind no node ever has children.
bool IsLeaf(ExprKind kind) {
  return kind == ExprKind::kNumber || kind == ExprKind::kString ||
         kind == ExprKind::kVectorSelector;
}

template <typename Node, typename Function>
absl::Status Walk(Node& root, Function visit) {
  std::vector<Node*> waiting = {&root};
  while (!waiting.empty()) {
    Node& node = *waiting.back();
    waiting.pop_back();
    if (!IsKnown(node.kind)) {
      return absl::InternalError(absl::StrCat(
          "expression node of the unknown kind ", static_cast<int>(node.kind)));
    }
    if (absl::Status status = visit(node); !status.ok()) return status;
    if (IsLeaf(node.kind)) continue;
    const size_t first = waiting.size();
    for (size_t i = 0; Node* child = Child(node, i); ++i) {
      waiting.push_back(child);
    }
    std::reverse(waiting.begin() + static_cast<std::ptrdiff_t>(first),
                 waiting.end());
  }
  return absl::OkStatus();
}

template <typename Selector, typename Node>
absl::StatusOr<std::vector<Selector*>> Collect(Node& root) {
  std::vector<Selector*> selectors;
  const absl::Status status = Visit(root, [&selectors](Node& node) {
    if (node.kind == ExprKind::kVectorSelector) {
      selectors.push_back(static_cast<Selector*>(&node));
    }
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return selectors;
}

}  // namespace

ExprPtr* ChildSlot(Expr& expr, size_t index) {
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
      return index < args.size() ? &args[index] : nullptr;
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

Expr* Child(Expr& expr, size_t index) {
  const ExprPtr* slot = ChildSlot(expr, index);
  return slot == nullptr ? nullptr : slot->get();
}

const Expr* Child(const Expr& expr, size_t index) {
  return Child(const_cast<Expr&>(expr), index);
}

absl::Status Visit(Expr& root, absl::FunctionRef<absl::Status(Expr&)> visit) {
  return Walk(root, visit);
}

absl::Status Visit(const Expr& root,
                   absl::FunctionRef<absl::Status(const Expr&)> visit) {
  return Walk(root, visit);
}

absl::StatusOr<std::vector<VectorSelector*>> Selectors(Expr& root) {
  return Collect<VectorSelector>(root);
}

absl::StatusOr<std::vector<const VectorSelector*>> Selectors(const Expr& root) {
  return Collect<const VectorSelector>(root);
}

}  // namespace insula::promql
