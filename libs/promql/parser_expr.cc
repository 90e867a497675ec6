// Expressions: operators, literals, parentheses, calls and aggregations.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/labels/validity.h"
#include "libs/promql/functions.h"
#include "libs/promql/literal.h"
#include "libs/promql/parser_impl.h"
#include "libs/promql/quote.h"

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

AggregateOp AggregateOperator(TokenType type) {
  // Both enumerations are in alphabetical order.
  return static_cast<AggregateOp>(static_cast<int>(type) -
                                  static_cast<int>(TokenType::kAvg));
}
static_assert(static_cast<int>(TokenType::kTopk) -
                  static_cast<int>(TokenType::kAvg) ==
              static_cast<int>(AggregateOp::kTopk));

}  // namespace

// Operator precedence over a stack of waiting operators, so that only brackets
// of some kind recurse.
ExprPtr Parser::ParseExpr() {
  const size_t base = pending_.size();
  while (true) {
    if (!ParseSigns()) return nullptr;
    ExprPtr operand = ParsePostfix();
    if (operand == nullptr) return nullptr;
    const std::optional<OperatorInfo> info = BinaryOperator(token_.type);
    while (pending_.size() > base) {
      const OperatorInfo& top = pending_.back().info;
      const bool stronger =
          !info || top.precedence > info->precedence ||
          (top.precedence == info->precedence && !info->right);
      if (!stronger) break;
      operand = Reduce(std::move(operand));
    }
    if (!info) return operand;
    if (info->right && !Enter()) return nullptr;
    Pending next{token_, *info, false, {}, std::move(operand)};
    Advance();
    if (!ParseBinaryModifiers(next)) return nullptr;
    pending_.push_back(std::move(next));
  }
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

bool Parser::ParseBinaryModifiers(Pending& pending) {
  if (Is(TokenType::kBool)) {
    pending.return_bool = true;
    Advance();
  }
  if (!Is(TokenType::kOn) && !Is(TokenType::kIgnoring)) return true;
  VectorMatching& matching = pending.matching;
  matching.on = Is(TokenType::kOn);
  Advance();
  if (!ParseLabels(&matching.labels)) return false;
  if (!Is(TokenType::kGroupLeft) && !Is(TokenType::kGroupRight)) return true;
  matching.cardinality = Is(TokenType::kGroupLeft) ? Cardinality::kManyToOne
                                                   : Cardinality::kOneToMany;
  Advance();
  // The labels may be absent; then the right operand follows.
  if (StartsExpression(token_.type) && !Is(TokenType::kLeftParen)) return true;
  return ParseLabels(&matching.include);
}

bool Parser::ParseLabels(std::vector<std::string>* labels) {
  constexpr absl::string_view kContext = "grouping opts";
  if (!Is(TokenType::kLeftParen)) return Unexpected(kContext, "\"(\"");
  Advance();
  while (!Is(TokenType::kRightParen)) {
    if (!IsGroupingLabel(token_.type) ||
        !labels::IsLegacyLabelName(token_.text)) {
      return Unexpected(kContext, "label");
    }
    labels->emplace_back(token_.text);
    Advance();
    if (Is(TokenType::kComma)) {
      Advance();
    } else if (!Is(TokenType::kRightParen)) {
      return Unexpected(kContext, "\",\" or \")\"");
    }
  }
  Advance();
  return true;
}

// A primary expression with all that may follow it: ranges, `@`, `offset`.
ExprPtr Parser::ParsePostfix() {
  ExprPtr expr = ParsePrimary();
  int subqueries = 0;
  while (expr != nullptr) {
    if (Is(TokenType::kLeftBracket)) {
      if (depth_ + ++subqueries > max_depth_) {
        TooDeep();
        return nullptr;
      }
      expr = ParseBracket(std::move(expr));
    } else if (Is(TokenType::kOffset)) {
      if (!ParseOffset(*expr)) return nullptr;
    } else if (Is(TokenType::kAt)) {
      if (!ParseAt(*expr)) return nullptr;
    } else {
      break;
    }
  }
  return expr;
}

ExprPtr Parser::ParsePrimary() {
  const Token token = token_;
  switch (token.type) {
    case TokenType::kNumber:
      return ParseNumberLiteral();
    case TokenType::kString:
      return ParseStringLiteral();
    case TokenType::kLeftParen:
      return ParseParen();
    case TokenType::kLeftBrace:
      return ParseSelector(nullptr);
    default:
      break;
  }
  if (!IsMetricName(token.type)) {
    Unexpected();
    return nullptr;
  }
  Advance();
  if (IsAggregator(token.type) &&
      (Is(TokenType::kLeftParen) || Is(TokenType::kBy) ||
       Is(TokenType::kWithout))) {
    return ParseAggregate(token);
  }
  if (token.type == TokenType::kIdentifier && Is(TokenType::kLeftParen)) {
    return ParseCall(token);
  }
  return ParseSelector(&token);
}

bool Parser::ParseNumberToken(double* value) {
  const absl::StatusOr<double> number = ParseNumber(token_.text);
  if (!number.ok()) {
    return Fail(token_.start, std::string(number.status().message()));
  }
  *value = *number;
  Advance();
  return true;
}

ExprPtr Parser::ParseNumberLiteral() {
  auto number = std::make_unique<Number>();
  number->range = Range{token_.start, token_.end()};
  if (!ParseNumberToken(&number->value)) return nullptr;
  return ExprPtr(number.release());
}

ExprPtr Parser::ParseStringLiteral() {
  auto string = std::make_unique<String>();
  string->range = Range{token_.start, token_.end()};
  string->value = Unquote(token_.text);
  Advance();
  return ExprPtr(string.release());
}

ExprPtr Parser::ParseParen() {
  const int32_t start = token_.start;
  if (!Enter()) return nullptr;
  Advance();
  ExprPtr inner = ParseExpr();
  if (inner == nullptr) return nullptr;
  if (!Is(TokenType::kRightParen)) {
    Unexpected();
    return nullptr;
  }
  ExprPtr paren(new Paren(std::move(inner)));
  paren->range = Range{start, token_.end()};
  Advance();
  Leave();
  return paren;
}

// From `(` to `)`. Does not take the `)`, so that its place is known.
bool Parser::ParseArguments(std::vector<ExprPtr>* args) {
  if (!Enter()) return false;
  Advance();
  while (!Is(TokenType::kRightParen)) {
    ExprPtr arg = ParseExpr();
    if (arg == nullptr) return false;
    args->push_back(std::move(arg));
    if (Is(TokenType::kRightParen)) break;
    if (!Is(TokenType::kComma)) return Unexpected();
    const int32_t comma = token_.start;
    Advance();
    if (!StartsExpression(token_.type) && !Is(TokenType::kError)) {
      return Fail(comma, "trailing commas not allowed in function call args");
    }
  }
  Leave();
  return true;
}

ExprPtr Parser::ParseCall(const Token& name) {
  std::vector<ExprPtr> args;
  if (!ParseArguments(&args)) return nullptr;
  const Function* function = FindFunction(name.text);
  if (function == nullptr) {
    Fail(name.start,
         absl::StrCat("unknown function with name ", Quoted(name.text)));
    return nullptr;
  }
  auto call = std::make_unique<Call>(function);
  call->range = Range{name.start, token_.end()};
  call->args = std::move(args);
  Advance();
  return ExprPtr(call.release());
}

bool Parser::ParseGrouping(Aggregate& node) {
  node.without = Is(TokenType::kWithout);
  Advance();
  return ParseLabels(&node.grouping);
}

ExprPtr Parser::ParseAggregate(const Token& op) {
  auto node = std::make_unique<Aggregate>();
  const bool modifier_first = !Is(TokenType::kLeftParen);
  ++aggregations_;
  if (modifier_first && !ParseGrouping(*node)) return nullptr;
  if (!Is(TokenType::kLeftParen)) {
    Unexpected();
    return nullptr;
  }
  std::vector<ExprPtr> args;
  if (!ParseArguments(&args)) return nullptr;
  int32_t end = token_.end();
  Advance();
  if (!modifier_first && (Is(TokenType::kBy) || Is(TokenType::kWithout))) {
    if (!ParseGrouping(*node)) return nullptr;
    end = taken_end_;
  }
  --aggregations_;
  return BuildAggregate(op, std::move(node), std::move(args), end);
}

ExprPtr Parser::BuildAggregate(const Token& op, std::unique_ptr<Aggregate> node,
                               std::vector<ExprPtr> args, int32_t end) {
  node->op = AggregateOperator(op.type);
  node->range = Range{op.start, end};
  if (args.empty()) {
    Fail(op.start, "no arguments for aggregate expression provided");
    return nullptr;
  }
  const size_t wanted = HasParameter(node->op) ? 2 : 1;
  if (args.size() != wanted) {
    Fail(op.start,
         absl::StrCat("wrong number of arguments for aggregate expression "
                      "provided, expected ",
                      wanted, ", got ", args.size()));
    return nullptr;
  }
  if (wanted == 2) node->parameter = std::move(args.front());
  node->expr = std::move(args.back());
  return ExprPtr(node.release());
}

}  // namespace insula::promql
