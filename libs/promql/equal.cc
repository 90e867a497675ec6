#include "libs/promql/equal.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "libs/promql/visit.h"

namespace insula::promql {
namespace {

// Each matcher of one list is looked for in the other.
constexpr size_t kMostMatchers = 32;

// 0 and -0 are written differently, and one NaN as another.
bool Same(double a, double b) {
  if (std::isnan(a)) return std::isnan(b);
  return a == b && std::signbit(a) == std::signbit(b);
}

bool Same(const std::optional<double>& a, const std::optional<double>& b) {
  return a.has_value() == b.has_value() && (!a.has_value() || Same(*a, *b));
}

bool Same(const std::optional<VectorMatching>& a,
          const std::optional<VectorMatching>& b) {
  if (!a.has_value() || !b.has_value()) return a.has_value() == b.has_value();
  return a->cardinality == b->cardinality && a->on == b->on &&
         a->labels == b->labels && a->include == b->include &&
         Same(a->fill_left, b->fill_left) && Same(a->fill_right, b->fill_right);
}

bool Same(const Modifiers& a, const Modifiers& b) {
  return a.at == b.at && a.time == b.time && a.offset == b.offset &&
         a.offset_expression == b.offset_expression;
}

// As multisets: as often in one as in the other.
bool Same(const std::vector<labels::Matcher>& a,
          const std::vector<labels::Matcher>& b) {
  if (a.size() != b.size() || a.size() > kMostMatchers) return false;
  return std::is_permutation(a.begin(), a.end(), b.begin());
}

// But for the children.
bool AreSame(const Expr& left, const Expr& right) {
  if (left.kind != right.kind) return false;
  switch (left.kind) {
    case ExprKind::kAggregate: {
      const auto& a = static_cast<const Aggregate&>(left);
      const auto& b = static_cast<const Aggregate&>(right);
      return a.op == b.op && a.without == b.without && a.grouping == b.grouping;
    }
    case ExprKind::kBinary: {
      const auto& a = static_cast<const Binary&>(left);
      const auto& b = static_cast<const Binary&>(right);
      return a.op == b.op && a.return_bool == b.return_bool &&
             Same(a.matching, b.matching);
    }
    case ExprKind::kCall:
      return static_cast<const Call&>(left).function ==
             static_cast<const Call&>(right).function;
    case ExprKind::kMatrixSelector: {
      const auto& a = static_cast<const MatrixSelector&>(left);
      const auto& b = static_cast<const MatrixSelector&>(right);
      return a.window == b.window && a.window_expression == b.window_expression;
    }
    case ExprKind::kNumber: {
      const auto& a = static_cast<const Number&>(left);
      const auto& b = static_cast<const Number&>(right);
      return Same(a.value, b.value) && a.duration == b.duration;
    }
    case ExprKind::kParen:
      return true;
    case ExprKind::kString:
      return static_cast<const String&>(left).value ==
             static_cast<const String&>(right).value;
    case ExprKind::kSubquery: {
      const auto& a = static_cast<const Subquery&>(left);
      const auto& b = static_cast<const Subquery&>(right);
      return a.window == b.window && a.step == b.step &&
             a.window_expression == b.window_expression &&
             a.step_expression == b.step_expression &&
             Same(a.modifiers, b.modifiers);
    }
    case ExprKind::kUnary:
      return static_cast<const Unary&>(left).negative ==
             static_cast<const Unary&>(right).negative;
    case ExprKind::kVectorSelector: {
      const auto& a = static_cast<const VectorSelector&>(left);
      const auto& b = static_cast<const VectorSelector&>(right);
      return a.name == b.name && Same(a.matchers, b.matchers) &&
             Same(a.modifiers, b.modifiers) && a.extension == b.extension;
    }
  }
  return false;  // Of a kind that is not known.
}

}  // namespace

bool AreEqual(const Expr& a, const Expr& b) {
  struct Pair {
    const Expr* a;
    const Expr* b;
  };
  absl::InlinedVector<Pair, 32> waiting = {{&a, &b}};
  while (!waiting.empty()) {
    const Pair pair = waiting.back();
    waiting.pop_back();
    if (!AreSame(*pair.a, *pair.b)) return false;
    if (IsLeaf(pair.a->kind)) continue;
    for (size_t i = 0;; ++i) {
      const Expr* const left = Child(*pair.a, i);
      const Expr* const right = Child(*pair.b, i);
      if ((left == nullptr) != (right == nullptr)) return false;
      if (left == nullptr) break;
      waiting.push_back({left, right});
    }
  }
  return true;
}

}  // namespace insula::promql
