#include "libs/promql/visit.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/container/inlined_vector.h"
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

template <typename Node, typename Function>
absl::Status Walk(Node& root, const Function& visit) {
  absl::InlinedVector<Node*, 32> waiting;
  Node* node = &root;
  while (true) {
    if (!IsKnown(node->kind)) {
      return absl::InternalError(
          absl::StrCat("expression node of the unknown kind ",
                       static_cast<int>(node->kind)));
    }
    if (absl::Status status = visit(*node); !status.ok()) return status;
    Node* const first = IsLeaf(node->kind) ? nullptr : Child(*node, 0);
    if (first != nullptr) {
      const size_t rest = waiting.size();
      for (size_t i = 1; Node* child = Child(*node, i); ++i) {
        waiting.push_back(child);
      }
      std::reverse(waiting.begin() + static_cast<std::ptrdiff_t>(rest),
                   waiting.end());
      node = first;
      continue;
    }
    if (waiting.empty()) return absl::OkStatus();
    node = waiting.back();
    waiting.pop_back();
  }
}

template <typename Selector, typename Node>
absl::StatusOr<std::vector<Selector*>> Collect(Node& root) {
  std::vector<Selector*> selectors;
  const absl::Status status = Walk(root, [&selectors](Node& node) {
    if (node.kind == ExprKind::kVectorSelector) {
      selectors.push_back(static_cast<Selector*>(&node));
    }
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return selectors;
}

}  // namespace

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
