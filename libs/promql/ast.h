// The tree of a PromQL expression, as Parse() makes it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/labels/matcher.h"
#include "libs/promql/functions.h"
#include "libs/promql/value_type.h"

namespace insula::promql {

// Bytes [start, end) of the text that was parsed.
struct Range {
  int32_t start = 0;
  int32_t end = 0;
};

enum class ExprKind {
  kAggregate,
  kBinary,
  kCall,
  kMatrixSelector,
  kNumber,
  kParen,
  kString,
  kSubquery,
  kUnary,
  kVectorSelector,
};

struct Expr;

// Deletes a tree of any depth without recursion.
struct ExprDeleter {
  void operator()(Expr* expr) const;
};

using ExprPtr = std::unique_ptr<Expr, ExprDeleter>;

// A node. `kind` tells which of the structs below it is; they have no virtual
// functions. Trees may be deep (`1+1+1+...` leans to the left without a bound):
// walk them with visit.h, not by recursion.
struct Expr {
  const ExprKind kind;
  ValueType type;  // What it evaluates to.
  Range range;     // Where it stood.

 protected:
  Expr(ExprKind k, ValueType t) : kind(k), type(t) {}
  ~Expr() = default;
};

enum class BinaryOp {
  kAdd,
  kAnd,
  kAtan2,
  kDivide,
  kEqual,
  kGreater,
  kGreaterOrEqual,
  kLess,
  kLessOrEqual,
  kModulo,
  kMultiply,
  kNotEqual,
  kOr,
  kPower,
  kSubtract,
  kTrimLower,  // `>/`
  kTrimUpper,  // `</`
  kUnless,
};

bool IsComparison(BinaryOp op);
bool IsSetOperator(BinaryOp op);

// As PromQL writes it.
absl::string_view Name(BinaryOp op);

enum class AggregateOp {
  kAvg,
  kBottomk,
  kCount,
  kCountValues,
  kGroup,
  kLimitRatio,
  kLimitk,
  kMax,
  kMin,
  kQuantile,
  kStddev,
  kStdvar,
  kSum,
  kTopk,
};

// Whether the operator takes a parameter before its vector.
bool HasParameter(AggregateOp op);
absl::string_view Name(AggregateOp op);

// `sum by (job) (x)`, `topk(3, x)`.
struct Aggregate : Expr {
  Aggregate() : Expr(ExprKind::kAggregate, ValueType::kVector) {}
  AggregateOp op = AggregateOp::kSum;
  bool without = false;
  std::vector<std::string> grouping;
  ExprPtr parameter;  // Null unless HasParameter(op).
  ExprPtr expr;
};

enum class Cardinality { kOneToOne, kManyToOne, kOneToMany, kManyToMany };

// How the elements of two vectors find each other.
struct VectorMatching {
  Cardinality cardinality = Cardinality::kOneToOne;
  bool on = false;  // Match on `labels` rather than on all others.
  std::vector<std::string> labels;
  std::vector<std::string> include;  // Of group_left or group_right.
  // What stands in for an element that one side lacks.
  std::optional<double> fill_left;
  std::optional<double> fill_right;
};

// `a + on (job) group_left b`.
struct Binary : Expr {
  Binary() : Expr(ExprKind::kBinary, ValueType::kVector) {}
  BinaryOp op = BinaryOp::kAdd;
  bool return_bool = false;
  std::optional<VectorMatching> matching;  // Only between two vectors.
  ExprPtr lhs;
  ExprPtr rhs;
};

// `rate(x[5m])`.
struct Call : Expr {
  explicit Call(const Function* f)
      : Expr(ExprKind::kCall, f->return_type), function(f) {}
  const Function* function;  // Never null; of the table in functions.h.
  std::vector<ExprPtr> args;
};

struct Number : Expr {
  Number() : Expr(ExprKind::kNumber, ValueType::kScalar) {}
  double value = 0;
  bool duration = false;  // Written as one, `5m`; the value is in seconds.
};

struct Paren : Expr {
  explicit Paren(ExprPtr e)
      : Expr(ExprKind::kParen, e->type), expr(std::move(e)) {}
  ExprPtr expr;
};

struct String : Expr {
  String() : Expr(ExprKind::kString, ValueType::kString) {}
  std::string value;  // Any bytes.
};

// `-x`, `+x`. The sign of a number is part of its Number.
struct Unary : Expr {
  Unary(bool minus, ExprPtr e)
      : Expr(ExprKind::kUnary, e->type), negative(minus), expr(std::move(e)) {}
  bool negative;
  ExprPtr expr;
};

// A duration with operators or functions, `5m + step()`, as Print() writes it.
// It holds no selector. Empty: the duration beside it is a plain one.
using DurationExpression = std::string;

// `@` and `offset`, behind a selector or a subquery.
struct Modifiers {
  enum class At { kNone, kTime, kStart, kEnd };
  At at = At::kNone;
  absl::Time time;        // With kTime. Whole milliseconds.
  absl::Duration offset;  // Zero: none. Whole milliseconds, of either sign.
  DurationExpression offset_expression;
};

// `up{job="api"}`.
struct VectorSelector : Expr {
  VectorSelector() : Expr(ExprKind::kVectorSelector, ValueType::kVector) {}

  // The metric name that stands before the braces. It is among `matchers` too,
  // which alone decide what is selected; a name may be written in front only
  // if no other matcher is on `__name__`.
  std::string name;
  std::vector<labels::Matcher> matchers;
  Modifiers modifiers;

  // What counts at the borders of the range, or of the instant.
  enum class Extension { kNone, kAnchored, kSmoothed };
  Extension extension = Extension::kNone;

  // It stands for labels alone, as the second argument of info(), and may
  // exclude nothing.
  bool labels_only = false;
};

// `up[5m]`. Its modifiers are those of the vector selector.
struct MatrixSelector : Expr {
  explicit MatrixSelector(ExprPtr s)
      : Expr(ExprKind::kMatrixSelector, ValueType::kMatrix),
        selector(std::move(s)) {}
  const VectorSelector& vector() const {
    return static_cast<const VectorSelector&>(*selector);
  }
  VectorSelector& vector() { return static_cast<VectorSelector&>(*selector); }
  ExprPtr selector;  // A VectorSelector.
  absl::Duration window;
  DurationExpression window_expression;
};

// `rate(x[1m])[1h:5m]`.
struct Subquery : Expr {
  explicit Subquery(ExprPtr e)
      : Expr(ExprKind::kSubquery, ValueType::kMatrix), expr(std::move(e)) {}
  ExprPtr expr;
  absl::Duration window;
  absl::Duration step;  // Zero: the default of the server.
  DurationExpression window_expression;
  DurationExpression step_expression;
  Modifiers modifiers;
};

}  // namespace insula::promql
