// Expressions: operators, parentheses, and what may follow an operand.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "libs/promql/parser_impl.h"

namespace insula::promql {
namespace {

constexpr int kUnaryPrecedence = 5;  // As multiplication.

constexpr std::array<OperatorInfo, kTokenTypes> MakeOperators() {
  std::array<OperatorInfo, kTokenTypes> all{};
  const auto add = [&all](TokenType type, BinaryOp op, int precedence) {
    all[static_cast<size_t>(type)] = {op, precedence, op == BinaryOp::kPower};
  };
  add(TokenType::kOr, BinaryOp::kOr, 1);
  add(TokenType::kAnd, BinaryOp::kAnd, 2);
  add(TokenType::kUnless, BinaryOp::kUnless, 2);
  add(TokenType::kEqualEqual, BinaryOp::kEqual, 3);
  add(TokenType::kNotEqual, BinaryOp::kNotEqual, 3);
  add(TokenType::kGreater, BinaryOp::kGreater, 3);
  add(TokenType::kGreaterOrEqual, BinaryOp::kGreaterOrEqual, 3);
  add(TokenType::kLess, BinaryOp::kLess, 3);
  add(TokenType::kLessOrEqual, BinaryOp::kLessOrEqual, 3);
  add(TokenType::kTrimLower, BinaryOp::kTrimLower, 3);
  add(TokenType::kTrimUpper, BinaryOp::kTrimUpper, 3);
  add(TokenType::kAdd, BinaryOp::kAdd, 4);
  add(TokenType::kSubtract, BinaryOp::kSubtract, 4);
  add(TokenType::kMultiply, BinaryOp::kMultiply, 5);
  add(TokenType::kDivide, BinaryOp::kDivide, 5);
  add(TokenType::kModulo, BinaryOp::kModulo, 5);
  add(TokenType::kAtan2, BinaryOp::kAtan2, 5);
  add(TokenType::kPower, BinaryOp::kPower, 6);
  return all;
}
constexpr std::array<OperatorInfo, kTokenTypes> kOperators = MakeOperators();

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
  const OperatorInfo info = kOperators[static_cast<size_t>(token_.type)];
  while (pending_.size() > base) {
    const Pending& top = pending_.back();
    const bool stronger = top.precedence > info.precedence ||
                          (top.precedence == info.precedence && !info.right);
    if (!stronger) break;
    *operand = Reduce(std::move(*operand));
  }
  if (info.precedence == 0) return true;
  if (info.right && !Enter()) return false;
  auto binary = std::make_unique<Binary>();
  binary->op = info.op;
  binary->lhs = std::move(*operand);
  Advance();
  if (!ParseBinaryModifiers(*binary)) return false;
  pending_.push_back({.precedence = info.precedence,
                      .right = info.right,
                      .binary = std::move(binary)});
  return true;
}

bool Parser::ParseSigns() {
  while (Is(TokenType::kAdd) || Is(TokenType::kSubtract)) {
    if (!Enter()) return false;
    pending_.push_back({.precedence = kUnaryPrecedence,
                        .minus = Is(TokenType::kSubtract),
                        .start = token_.start,
                        .binary = nullptr});
    Advance();
  }
  return true;
}

// Applies the operator on top of the stack.
ExprPtr Parser::Reduce(ExprPtr operand) {
  Pending op = std::move(pending_.back());
  pending_.pop_back();
  if (op.binary == nullptr) {
    Leave();
    if (operand->kind == ExprKind::kNumber) {
      if (op.minus) static_cast<Number&>(*operand).value *= -1;
    } else {
      const int32_t end = operand->range.end;
      operand.reset(new Unary(op.minus, ExprPtr(operand.release())));
      operand->range.end = end;
    }
    operand->range.start = op.start;
    return operand;
  }
  if (op.right) Leave();
  Binary& binary = *op.binary;
  binary.range = Range{binary.lhs->range.start, operand->range.end};
  if (binary.lhs->type == ValueType::kScalar &&
      operand->type == ValueType::kScalar) {
    binary.type = ValueType::kScalar;
  } else if (!binary.matching.has_value()) {
    binary.matching.emplace();
  }
  binary.rhs = std::move(operand);
  return ExprPtr(op.binary.release());
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
bool Parser::Open(Opening&& opening) {
  if (!Enter()) return false;
  opening.pending = pending_.size();
  openings_.push_back(std::move(opening));
  Advance();
  return true;
}

bool Parser::OpenArguments(Opening&& opening, ExprPtr* operand) {
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
