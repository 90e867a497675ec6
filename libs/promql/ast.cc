#include "libs/promql/ast.h"

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"

namespace insula::promql {
namespace {

// Children of nodes that have been deleted.
using Orphans = absl::InlinedVector<Expr*, 16>;

template <typename Node>
void DeleteAs(Expr* expr) {
  delete static_cast<Node*>(expr);
}

// Deletes one node, whose children come to `orphans`.
void DeleteOne(Expr* expr, Orphans* orphans) {
  const auto orphan = [orphans](auto&... children) {
    ((children == nullptr ? void() : orphans->push_back(children.release())),
     ...);
  };
  switch (expr->kind) {
    case ExprKind::kAggregate: {
      auto* node = static_cast<Aggregate*>(expr);
      orphan(node->parameter, node->expr);
      return DeleteAs<Aggregate>(expr);
    }
    case ExprKind::kBinary: {
      auto* node = static_cast<Binary*>(expr);
      orphan(node->lhs, node->rhs);
      return DeleteAs<Binary>(expr);
    }
    case ExprKind::kCall:
      for (ExprPtr& arg : static_cast<Call*>(expr)->args) orphan(arg);
      return DeleteAs<Call>(expr);
    case ExprKind::kMatrixSelector:
      orphan(static_cast<MatrixSelector*>(expr)->selector);
      return DeleteAs<MatrixSelector>(expr);
    case ExprKind::kNumber:
      return DeleteAs<Number>(expr);
    case ExprKind::kParen:
      orphan(static_cast<Paren*>(expr)->expr);
      return DeleteAs<Paren>(expr);
    case ExprKind::kString:
      return DeleteAs<String>(expr);
    case ExprKind::kSubquery:
      orphan(static_cast<Subquery*>(expr)->expr);
      return DeleteAs<Subquery>(expr);
    case ExprKind::kUnary:
      orphan(static_cast<Unary*>(expr)->expr);
      return DeleteAs<Unary>(expr);
    case ExprKind::kVectorSelector:
      return DeleteAs<VectorSelector>(expr);
  }
}

}  // namespace

void ExprDeleter::operator()(Expr* expr) const {
  Orphans orphans;
  while (true) {
    DeleteOne(expr, &orphans);
    if (orphans.empty()) return;
    expr = orphans.back();
    orphans.pop_back();
  }
}

bool IsComparison(BinaryOp op) {
  switch (op) {
    case BinaryOp::kEqual:
    case BinaryOp::kGreater:
    case BinaryOp::kGreaterOrEqual:
    case BinaryOp::kLess:
    case BinaryOp::kLessOrEqual:
    case BinaryOp::kNotEqual:
      return true;
    default:
      return false;
  }
}

bool IsSetOperator(BinaryOp op) {
  return op == BinaryOp::kAnd || op == BinaryOp::kOr || op == BinaryOp::kUnless;
}

absl::string_view Name(BinaryOp op) {
  switch (op) {
    case BinaryOp::kAdd:
      return "+";
    case BinaryOp::kAnd:
      return "and";
    case BinaryOp::kAtan2:
      return "atan2";
    case BinaryOp::kDivide:
      return "/";
    case BinaryOp::kEqual:
      return "==";
    case BinaryOp::kGreater:
      return ">";
    case BinaryOp::kGreaterOrEqual:
      return ">=";
    case BinaryOp::kLess:
      return "<";
    case BinaryOp::kLessOrEqual:
      return "<=";
    case BinaryOp::kModulo:
      return "%";
    case BinaryOp::kMultiply:
      return "*";
    case BinaryOp::kNotEqual:
      return "!=";
    case BinaryOp::kOr:
      return "or";
    case BinaryOp::kPower:
      return "^";
    case BinaryOp::kSubtract:
      return "-";
    case BinaryOp::kTrimLower:
      return ">/";
    case BinaryOp::kTrimUpper:
      return "</";
    case BinaryOp::kUnless:
      return "unless";
  }
  return "unknown";
}

bool HasParameter(AggregateOp op) {
  switch (op) {
    case AggregateOp::kBottomk:
    case AggregateOp::kCountValues:
    case AggregateOp::kLimitRatio:
    case AggregateOp::kLimitk:
    case AggregateOp::kQuantile:
    case AggregateOp::kTopk:
      return true;
    default:
      return false;
  }
}

absl::string_view Name(AggregateOp op) {
  switch (op) {
    case AggregateOp::kAvg:
      return "avg";
    case AggregateOp::kBottomk:
      return "bottomk";
    case AggregateOp::kCount:
      return "count";
    case AggregateOp::kCountValues:
      return "count_values";
    case AggregateOp::kGroup:
      return "group";
    case AggregateOp::kLimitRatio:
      return "limit_ratio";
    case AggregateOp::kLimitk:
      return "limitk";
    case AggregateOp::kMax:
      return "max";
    case AggregateOp::kMin:
      return "min";
    case AggregateOp::kQuantile:
      return "quantile";
    case AggregateOp::kStddev:
      return "stddev";
    case AggregateOp::kStdvar:
      return "stdvar";
    case AggregateOp::kSum:
      return "sum";
    case AggregateOp::kTopk:
      return "topk";
  }
  return "unknown";
}

}  // namespace insula::promql
