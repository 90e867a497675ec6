// Expressions: operators, parentheses, and what may follow an operand.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "libs/promql/parser_impl.h"

namespace insula::promql {
namespace {

constexpr int kUnaryPrecedence = 5;  // As multiplication.

std::optional<OperatorInfo> BinaryOperator(TokenType type) {
  switch (type) {
    case TokenType::kOr:
      return OperatorInfo{BinaryOp::kOr, 1, false};
    case TokenType::kAnd:
      return OperatorInfo{BinaryOp::kAnd, 2, false};
    case TokenType::kUnless:
      return OperatorInfo{BinaryOp::kUnless, 2, false};
    case TokenType::kEqualEqual:
      return OperatorInfo{BinaryOp::kEqual, 3, false};
    case TokenType::kNotEqual:
      return OperatorInfo{BinaryOp::kNotEqual, 3, false};
    case TokenType::kGreater:
      return OperatorInfo{BinaryOp::kGreater, 3, false};
    case TokenType::kGreaterOrEqual:
      return OperatorInfo{BinaryOp::kGreaterOrEqual, 3, false};
    case TokenType::kLess:
      return OperatorInfo{BinaryOp::kLess, 3, false};
    case TokenType::kLessOrEqual:
      return OperatorInfo{BinaryOp::kLessOrEqual, 3, false};
    case TokenType::kTrimLower:
      return OperatorInfo{BinaryOp::kTrimLower, 3, false};
    case TokenType::kTrimUpper:
      return OperatorInfo{BinaryOp::kTrimUpper, 3, false};
    case TokenType::kAdd:
      return OperatorInfo{BinaryOp::kAdd, 4, false};
    case TokenType::kSubtract:
      return OperatorInfo{BinaryOp::kSubtract, 4, false};
    case TokenType::kMultiply:
      return OperatorInfo{BinaryOp::kMultiply, 5, false};
    case TokenType::kDivide:
      return OperatorInfo{BinaryOp::kDivide, 5, false};
    case TokenType::kModulo:
      return OperatorInfo{BinaryOp::kModulo, 5, false};
    case TokenType::kAtan2:
      return OperatorInfo{BinaryOp::kAtan2, 5, false};
    case TokenType::kPower:
      return OperatorInfo{BinaryOp::kPower, 6, true};
    default:
      return std::nullopt;
  }
}

}  // namespace

// Operator precedence over a stack of waiting operators and one of open
// parentheses. Nothing recurses: the stack of the thread is not what bounds the
// nesting of a query.
ExprPtr Parser::ParseExpr() {
  while (true) {
    if (!ParseSigns()) return nullptr;
    ExprPtr operand;
    if (!ParseOperand(&operand)) return nullptr;
    // Null once another operand is to come first.
    while (operand != nullptr) {
      if (!ParsePostfix(&operand) || !ParseOperator(&operand)) return nullptr;
      if (operand == nullptr) break;
      if (openings_.empty()) return operand;
      if (!ParseClosing(&operand)) return nullptr;
    }
  }
}

// With an operator behind it the operand waits for the other one, and is null.
bool Parser::ParseOperator(ExprPtr* operand) {
  const size_t base = openings_.empty() ? 0 : openings_.back().pending;
  const std::optional<OperatorInfo> info = BinaryOperator(token_.type);
  while (pending_.size() > base) {
    const OperatorInfo& top = pending_.back().info;
    const bool stronger = !info || top.precedence > info->precedence ||
                          (top.precedence == info->precedence && !info->right);
    if (!stronger) break;
    *operand = Reduce(std::move(*operand));
  }
  if (!info) return true;
  if (info->right && !Enter()) return false;
  Pending next{token_, *info, false, {}, std::move(*operand)};
  Advance();
  if (!ParseBinaryModifiers(next)) return false;
  pending_.push_back(std::move(next));
  return true;
}

bool Parser::ParseSigns() {
  while (Is(TokenType::kAdd) || Is(TokenType::kSubtract)) {
    if (!Enter()) return false;
    pending_.push_back(Pending{
        token_, {BinaryOp::kAdd, kUnaryPrecedence, false}, false, {}, {}});
    Advance();
  }
  return true;
}

// Applies the operator on top of the stack.
ExprPtr Parser::Reduce(ExprPtr operand) {
  Pending op = std::move(pending_.back());
  pending_.pop_back();
  if (op.lhs == nullptr) {
    Leave();
    const bool minus = op.token.type == TokenType::kSubtract;
    if (operand->kind == ExprKind::kNumber) {
      if (minus) static_cast<Number&>(*operand).value *= -1;
    } else {
      const int32_t end = operand->range.end;
      operand.reset(new Unary(minus, ExprPtr(operand.release())));
      operand->range.end = end;
    }
    operand->range.start = op.token.start;
    return operand;
  }
  if (op.info.right) Leave();
  auto binary = std::make_unique<Binary>();
  binary->op = op.info.op;
  binary->return_bool = op.return_bool;
  binary->matching = std::move(op.matching);
  binary->range = Range{op.lhs->range.start, operand->range.end};
  if (op.lhs->type == ValueType::kScalar &&
      operand->type == ValueType::kScalar) {
    binary->type = ValueType::kScalar;
  }
  binary->lhs = std::move(op.lhs);
  binary->rhs = std::move(operand);
  return ExprPtr(binary.release());
}

// Ranges, `@`, `offset`: all that may follow a primary expression.
bool Parser::ParsePostfix(ExprPtr* operand) {
  int subqueries = 0;
  while (true) {
    if (Is(TokenType::kLeftBracket)) {
      if (depth_ + ++subqueries > max_depth_) return TooDeep();
      *operand = ParseBracket(std::move(*operand));
      if (*operand == nullptr) return false;
    } else if (Is(TokenType::kOffset)) {
      if (!ParseOffset(**operand)) return false;
    } else if (Is(TokenType::kAt)) {
      if (!ParseAt(**operand)) return false;
    } else if (Is(TokenType::kAnchored) || Is(TokenType::kSmoothed)) {
      if (!ParseExtension(**operand)) return false;
    } else {
      return true;
    }
  }
}

// A primary expression. Null if that is in parentheses, which are open then.
bool Parser::ParseOperand(ExprPtr* operand) {
  const Token token = token_;
  switch (token.type) {
    case TokenType::kNumber:
      *operand = ParseNumberLiteral();
      return *operand != nullptr;
    case TokenType::kDuration:
      if (!options_.dialect.IsVersion3()) break;
      *operand = ParseDurationNumber();
      return *operand != nullptr;
    case TokenType::kString:
      *operand = ParseStringLiteral();
      return true;
    case TokenType::kLeftParen:
      return Open({.token = token});
    case TokenType::kLeftBrace:
      *operand = ParseSelector(nullptr);
      return *operand != nullptr;
    default:
      break;
  }
  if (!IsMetricName(token.type)) return Unexpected();
  Advance();
  if (IsAggregator(token.type) &&
      (Is(TokenType::kLeftParen) || Is(TokenType::kBy) ||
       Is(TokenType::kWithout))) {
    return OpenAggregate(token, operand);
  }
  if (IsFunctionName(token.type) && Is(TokenType::kLeftParen)) {
    return OpenArguments({.kind = Opening::Kind::kCall, .token = token},
                         operand);
  }
  *operand = ParseSelector(&token);
  return *operand != nullptr;
}

bool Parser::IsFunctionName(TokenType type) const {
  if (type == TokenType::kIdentifier) return true;
  return options_.dialect.IsVersion3() &&
         (type == TokenType::kStart || type == TokenType::kEndKeyword);
}

// Takes the `(`.
bool Parser::Open(Opening opening) {
  if (!Enter()) return false;
  opening.pending = pending_.size();
  openings_.push_back(std::move(opening));
  Advance();
  return true;
}

bool Parser::OpenArguments(Opening opening, ExprPtr* operand) {
  if (!Open(std::move(opening))) return false;
  return !Is(TokenType::kRightParen) || CloseArguments(operand);
}

// Behind a whole expression in parentheses. It becomes what they make of it, or
// null if another argument follows.
bool Parser::ParseClosing(ExprPtr* operand) {
  Opening& opening = openings_.back();
  if (opening.kind == Opening::Kind::kParen) {
    if (!Is(TokenType::kRightParen)) return Unexpected();
    operand->reset(new Paren(ExprPtr(operand->release())));
    (*operand)->range = Range{opening.token.start, token_.end()};
    openings_.pop_back();
    Advance();
    Leave();
    return true;
  }
  opening.args.push_back(std::move(*operand));
  if (Is(TokenType::kRightParen)) return CloseArguments(operand);
  if (!Is(TokenType::kComma)) return Unexpected();
  const int32_t comma = token_.start;
  Advance();
  const bool duration =
      Is(TokenType::kDuration) && options_.dialect.IsVersion3();
  if (!StartsExpression(token_.type) && !duration && !Is(TokenType::kError)) {
    return Fail(comma, "trailing commas not allowed in function call args");
  }
  return true;
}

// The `)` is next.
bool Parser::CloseArguments(ExprPtr* operand) {
  Opening opening = std::move(openings_.back());
  openings_.pop_back();
  Leave();
  *operand = opening.kind == Opening::Kind::kCall
                 ? FinishCall(std::move(opening))
                 : FinishAggregate(std::move(opening));
  return *operand != nullptr;
}

}  // namespace insula::promql
