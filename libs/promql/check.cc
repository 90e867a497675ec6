#include "libs/promql/check.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/promql/quote.h"
#include "libs/promql/visit.h"

namespace insula::promql {
namespace {

using Fault = std::optional<ParseError>;

Fault FaultAt(const Expr& expr, std::string message) {
  return ParseError{expr.range.start, std::move(message)};
}

Fault ExpectType(const Expr& expr, ValueType want, absl::string_view context) {
  if (expr.type == want) return std::nullopt;
  return FaultAt(expr,
                 absl::StrCat("expected type ", DocumentedName(want), " in ",
                              context, ", got ", DocumentedName(expr.type)));
}

// Before the arguments themselves are checked.
Fault CheckArity(const Call& call) {
  const Function& f = *call.function;
  const int given = static_cast<int>(call.args.size());
  const int least = f.variadic == 0 ? f.arity : f.arity - 1;
  const auto fault = [&](absl::string_view how, int count) {
    return FaultAt(
        call, absl::StrCat("expected ", how, count, " argument(s) in call to ",
                           Quoted(f.name), ", got ", given));
  };
  if (f.variadic == 0 && given != f.arity) return fault("", f.arity);
  if (given < least) return fault("at least ", least);
  if (f.variadic > 0 && given > least + f.variadic) {
    return fault("at most ", least + f.variadic);
  }
  return std::nullopt;
}

// After the child `index` of `expr` has been found sound.
Fault CheckChild(const Expr& expr, size_t index, const Expr& child) {
  if (expr.kind == ExprKind::kCall) {
    const Function& f = *static_cast<const Call&>(expr).function;
    const size_t declared = std::min<size_t>(index, f.arity - 1);
    if (child.type == f.types[declared]) return std::nullopt;
    return ExpectType(child, f.arg_types()[declared],
                      absl::StrCat("call to function ", Quoted(f.name)));
  }
  if (expr.kind != ExprKind::kAggregate) return std::nullopt;
  if (index == 0) {
    return ExpectType(child, ValueType::kVector, "aggregation expression");
  }
  const bool string =
      static_cast<const Aggregate&>(expr).op == AggregateOp::kCountValues;
  return ExpectType(child, string ? ValueType::kString : ValueType::kScalar,
                    "aggregation parameter");
}

// Where the operator stands.
int32_t OperatorPosition(const Binary& binary, absl::string_view text) {
  size_t position = static_cast<size_t>(binary.lhs->range.end);
  while (position < text.size() &&
         absl::ascii_isspace(static_cast<unsigned char>(text[position]))) {
    ++position;
  }
  return static_cast<int32_t>(position);
}

bool IsOperand(ValueType type) {
  return type == ValueType::kScalar || type == ValueType::kVector;
}

// What concerns the operator and its modifiers, whatever the operands are.
Fault CheckOperator(const Binary& binary, absl::string_view text) {
  const auto fault = [&](std::string message) {
    return ParseError{OperatorPosition(binary, text), std::move(message)};
  };
  if (binary.return_bool && !IsComparison(binary.op)) {
    return fault("bool modifier can only be used on comparison operators");
  }
  if (IsComparison(binary.op) && !binary.return_bool &&
      binary.type == ValueType::kScalar) {
    return fault("comparisons between scalars must use BOOL modifier");
  }
  if (!binary.matching.has_value() || !binary.matching->on) return std::nullopt;
  // Sorted copies: the lists may be long.
  std::vector<absl::string_view> included(binary.matching->include.begin(),
                                          binary.matching->include.end());
  std::sort(included.begin(), included.end());
  for (const std::string& label : binary.matching->labels) {
    if (std::binary_search(included.begin(), included.end(), label)) {
      return fault(
          absl::StrCat("label ", Quoted(label),
                       " must not occur in ON and GROUP clause at once"));
    }
  }
  return std::nullopt;
}

Fault CheckBinary(Binary& binary, absl::string_view text) {
  if (Fault fault = CheckOperator(binary, text)) return fault;
  for (const Expr* side : {binary.lhs.get(), binary.rhs.get()}) {
    if (!IsOperand(side->type)) {
      return FaultAt(*side,
                     "binary expression must contain only scalar and instant "
                     "vector types");
    }
  }
  const bool set = IsSetOperator(binary.op);
  if (!binary.matching.has_value()) {  // Two scalars.
    if (!set) return std::nullopt;
    binary.matching.emplace();
  }
  VectorMatching& matching = *binary.matching;
  const bool fills =
      matching.fill_left.has_value() || matching.fill_right.has_value();
  if (fills && set) {
    return FaultAt(binary,
                   "filling in missing series not allowed for set operators");
  }
  if (binary.lhs->type == ValueType::kVector &&
      binary.rhs->type == ValueType::kVector) {
    if (!set) return std::nullopt;
    if (matching.cardinality != Cardinality::kOneToOne) {
      return FaultAt(binary, absl::StrCat("no grouping allowed for \"",
                                          Name(binary.op), "\" operation"));
    }
    matching.cardinality = Cardinality::kManyToMany;
    return std::nullopt;
  }
  if (fills) {
    return FaultAt(binary,
                   "filling in missing series only allowed between instant "
                   "vectors");
  }
  if (!matching.labels.empty()) {
    return FaultAt(binary,
                   "vector matching only allowed between instant vectors");
  }
  if (set) {
    return FaultAt(binary,
                   absl::StrCat("set operator \"", Name(binary.op),
                                "\" not allowed in binary scalar expression"));
  }
  binary.matching.reset();
  return std::nullopt;
}

Fault CheckSelector(const VectorSelector& selector) {
  if (selector.labels_only && selector.name.empty()) return std::nullopt;
  if (!selector.name.empty()) {
    // The last matcher is the one of the name in front.
    for (size_t i = 0; i + 1 < selector.matchers.size(); ++i) {
      if (selector.matchers[i].name() != labels::kMetricName) continue;
      return FaultAt(selector,
                     absl::StrCat("metric name must not be set twice: ",
                                  Quoted(selector.name), " or ",
                                  Quoted(selector.matchers[i].value())));
    }
    return std::nullopt;
  }
  for (const labels::Matcher& matcher : selector.matchers) {
    if (!matcher.MatchesEmpty()) return std::nullopt;
  }
  return FaultAt(selector,
                 "vector selector must contain at least one non-empty matcher");
}

// After all children have been found sound.
Fault CheckNode(Expr& expr, absl::string_view text) {
  switch (expr.kind) {
    case ExprKind::kBinary:
      return CheckBinary(static_cast<Binary&>(expr), text);
    case ExprKind::kVectorSelector:
      return CheckSelector(static_cast<VectorSelector&>(expr));
    case ExprKind::kUnary:
      if (IsOperand(expr.type)) return std::nullopt;
      return FaultAt(
          expr, absl::StrCat("unary expression only allowed on expressions of "
                             "type scalar or instant vector, got \"",
                             DocumentedName(expr.type), "\""));
    case ExprKind::kSubquery: {
      const ValueType type = static_cast<Subquery&>(expr).expr->type;
      if (type == ValueType::kVector) return std::nullopt;
      return FaultAt(
          expr, absl::StrCat("subquery is only allowed on instant vector, got ",
                             Name(type), " instead"));
    }
    case ExprKind::kAggregate:
    case ExprKind::kCall:
    case ExprKind::kMatrixSelector:
    case ExprKind::kNumber:
    case ExprKind::kParen:
    case ExprKind::kString:
      return std::nullopt;
  }
  return FaultAt(expr, "unknown kind of expression");
}

}  // namespace

std::optional<ParseError> CheckTypes(Expr& root, absl::string_view text) {
  struct Frame {
    Expr* expr;
    size_t next;  // The child that comes next.
  };
  absl::InlinedVector<Frame, 32> stack = {{&root, 0}};
  while (!stack.empty()) {
    Frame& frame = stack.back();
    Expr& expr = *frame.expr;
    if (frame.next == 0 && expr.kind == ExprKind::kCall) {
      if (Fault fault = CheckArity(static_cast<Call&>(expr))) return fault;
    }
    if (frame.next > 0) {
      const size_t done = frame.next - 1;
      if (Fault fault = CheckChild(expr, done, *Child(expr, done))) {
        return fault;
      }
    }
    if (Expr* child = Child(expr, frame.next)) {
      ++frame.next;
      // Of a leaf nothing else is to be checked.
      if (child->kind == ExprKind::kNumber) continue;
      stack.push_back({child, 0});
      continue;
    }
    if (Fault fault = CheckNode(expr, text)) return fault;
    stack.pop_back();
  }
  return std::nullopt;
}

}  // namespace insula::promql
