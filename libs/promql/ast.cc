#include "libs/promql/ast.h"

#include <vector>

#include "absl/strings/string_view.h"

namespace insula::promql {
namespace {

// Deletes one node, whose children have been moved to `orphans`.
void DeleteOne(Expr* expr, std::vector<Expr*>& orphans) {
  const auto orphan = [&orphans](ExprPtr& child) {
    if (child != nullptr) orphans.push_back(child.release());
  };
  const auto finish = [&orphan](auto* node, auto&... children) {
    (orphan(children), ...);
    delete node;
  };
  switch (expr->kind) {
    case ExprKind::kAggregate: {
      auto* node = static_cast<Aggregate*>(expr);
      return finish(node, node->parameter, node->expr);
    }
    case ExprKind::kBinary: {
      auto* node = static_cast<Binary*>(expr);
      return finish(node, node->lhs, node->rhs);
    }
    case ExprKind::kCall: {
      auto* node = static_cast<Call*>(expr);
      for (ExprPtr& arg : node->args) orphan(arg);
      return finish(node);
    }
    case ExprKind::kMatrixSelector: {
      auto* node = static_cast<MatrixSelector*>(expr);
      return finish(node, node->selector);
    }
    case ExprKind::kNumber:
      return finish(static_cast<Number*>(expr));
    case ExprKind::kParen: {
      auto* node = static_cast<Paren*>(expr);
      return finish(node, node->expr);
    }
    case ExprKind::kString:
      return finish(static_cast<String*>(expr));
    case ExprKind::kSubquery: {
      auto* node = static_cast<Subquery*>(expr);
      return finish(node, node->expr);
    }
    case ExprKind::kUnary: {
      auto* node = static_cast<Unary*>(expr);
      return finish(node, node->expr);
    }
    case ExprKind::kVectorSelector:
      return finish(static_cast<VectorSelector*>(expr));
  }
}

}  // namespace

void ExprDeleter::operator()(Expr* expr) const {
  std::vector<Expr*> orphans;
  DeleteOne(expr, orphans);
  while (!orphans.empty()) {
    Expr* next = orphans.back();
    orphans.pop_back();
    DeleteOne(next, orphans);
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
