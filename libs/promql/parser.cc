#include "libs/promql/parser.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/labels/validity.h"
#include "libs/promql/check.h"
#include "libs/promql/functions.h"
#include "libs/promql/lexer.h"
#include "libs/promql/literal.h"
#include "libs/promql/quote.h"

namespace insula::promql {
namespace {

constexpr int kMaxDepth = 1000;  // What the stack of a small thread bears.
constexpr size_t kMaxBytes = size_t{1} << 30;  // Positions have 32 bits.

// Milliseconds from which on seconds in a double are not exact.
constexpr double kMaxTime = 9007199254740992.0;

struct OperatorInfo {
  BinaryOp op;
  int precedence;
  bool right;  // Groups to the right.
};

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

// Keywords that may stand where a metric name does.
bool IsMetricName(TokenType type) {
  switch (type) {
    case TokenType::kAnd:
    case TokenType::kBy:
    case TokenType::kEndKeyword:
    case TokenType::kIdentifier:
    case TokenType::kMetricIdentifier:
    case TokenType::kOffset:
    case TokenType::kOr:
    case TokenType::kStart:
    case TokenType::kUnless:
    case TokenType::kWithout:
      return true;
    default:
      return IsAggregator(type);
  }
}

// Words that may be a label in `by (...)`, `on (...)` and the like.
bool IsGroupingLabel(TokenType type) {
  switch (type) {
    case TokenType::kAtan2:
    case TokenType::kBool:
    case TokenType::kGroupLeft:
    case TokenType::kGroupRight:
    case TokenType::kIgnoring:
    case TokenType::kOn:
      return true;
    case TokenType::kWithout:
      return false;
    default:
      return IsMetricName(type);
  }
}

bool StartsExpression(TokenType type) {
  switch (type) {
    case TokenType::kAdd:
    case TokenType::kLeftBrace:
    case TokenType::kLeftParen:
    case TokenType::kNumber:
    case TokenType::kString:
    case TokenType::kSubtract:
      return true;
    default:
      return IsMetricName(type);
  }
}

// The parser proper. Functions that return a pointer or a bool return null or
// false after the first error, which is in error_ then; nothing goes on after.
class Parser {
 public:
  Parser(absl::string_view text, const ParseOptions& options)
      : text_(text),
        options_(options),
        max_depth_(std::clamp(options.max_depth, 1, kMaxDepth)),
        lexer_(text),
        regex_budget_(options.max_regex_cost) {}

  absl::StatusOr<ExprPtr> Expression();
  absl::StatusOr<std::vector<labels::Matcher>> MetricSelector();

 private:
  // An operator that waits for its right operand.
  struct Pending {
    Token token;
    OperatorInfo info;
    bool return_bool = false;
    VectorMatching matching;
    ExprPtr lhs;  // Null: a sign.
  };

  ExprPtr ParseExpr();
  ExprPtr ParsePostfix();
  ExprPtr ParsePrimary();
  ExprPtr ParseNumberLiteral();
  ExprPtr ParseStringLiteral();
  ExprPtr ParseParen();
  ExprPtr ParseCall(const Token& name);
  ExprPtr ParseAggregate(const Token& op);
  ExprPtr ParseSelector(const Token* name);
  ExprPtr ParseBracket(ExprPtr expr);
  ExprPtr MakeMatrix(ExprPtr expr, const Token& bracket, absl::Duration window);
  bool ParseOffset(Expr& expr);
  bool ParseAt(Expr& expr);
  bool SetTime(Expr& expr, double seconds);
  Modifiers* FindModifiers(Expr& expr, absl::string_view what);

  bool ParseSigns();
  bool ParseBinaryModifiers(Pending& pending);
  ExprPtr Reduce(ExprPtr operand);
  ExprPtr BuildAggregate(const Token& op, std::unique_ptr<Aggregate> node,
                         std::vector<ExprPtr> args, int32_t end);

  bool ParseArguments(std::vector<ExprPtr>* args);
  bool ParseGrouping(Aggregate& node);
  bool ParseLabels(std::vector<std::string>* labels);
  bool ParseMatchers(std::vector<labels::Matcher>* matchers);
  bool ParseMatcher(std::vector<labels::Matcher>* matchers);
  bool AddMatcher(labels::MatchType type, const Token& label,
                  const Token& value, std::vector<labels::Matcher>* matchers);
  bool ParseDurationToken(absl::Duration* duration);
  bool ParseNumberToken(double* value);

  // Text limits, then the first token.
  bool Start();
  void Advance();
  bool Is(TokenType type) const { return token_.type == type; }

  // Counts one more level of nesting; Leave() undoes it.
  bool Enter();
  void Leave() { --depth_; }

  // These note an error and return false.
  bool TooDeep();
  bool Fail(int32_t position, std::string message);
  bool Unexpected(absl::string_view context = "",
                  absl::string_view expected = "");
  absl::Status ErrorStatus() const;

  absl::string_view text_;
  const ParseOptions& options_;
  const int max_depth_;
  Lexer lexer_;
  Token token_;            // The next one.
  int32_t taken_end_ = 0;  // Where the one before it ended.
  std::string token_error_;
  size_t tokens_ = 0;
  int depth_ = 0;
  int aggregations_ = 0;  // That the next token is inside of.
  size_t regex_budget_;
  std::vector<Pending> pending_;
  std::optional<ParseError> error_;
};

bool Parser::Fail(int32_t position, std::string message) {
  if (!error_) error_ = ParseError{position, std::move(message)};
  return false;
}

bool Parser::Unexpected(absl::string_view context, absl::string_view expected) {
  if (Is(TokenType::kError)) return Fail(token_.start, token_error_);
  if (context.empty() && aggregations_ > 0) context = "aggregation";
  return Fail(token_.start,
              absl::StrCat("unexpected ", Describe(token_),
                           context.empty() ? "" : " in ", context,
                           expected.empty() ? "" : ", expected ", expected));
}

absl::Status Parser::ErrorStatus() const {
  const auto position =
      std::min(static_cast<size_t>(error_->position), text_.size());
  const absl::string_view before = text_.substr(0, position);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0.
  return absl::InvalidArgumentError(
      absl::StrCat(line, ":", position - line_start + 1,
                   ": parse error: ", error_->message));
}

bool Parser::Start() {
  const size_t limit = std::min(options_.max_bytes, kMaxBytes);
  if (text_.size() > limit) {
    return Fail(0, absl::StrCat("the query has ", text_.size(),
                                " bytes, more than the ", limit,
                                " allowed; shorten it"));
  }
  Advance();
  return true;
}

void Parser::Advance() {
  if (Is(TokenType::kError)) return;
  taken_end_ = token_.end();
  token_ = lexer_.Next();
  if (Is(TokenType::kError)) {
    token_error_ = lexer_.error();
  } else if (++tokens_ > options_.max_tokens && !Is(TokenType::kEnd)) {
    token_.type = TokenType::kError;
    token_error_ =
        absl::StrCat("the query has more than the ", options_.max_tokens,
                     " words and signs allowed; shorten it");
  }
}

bool Parser::Enter() { return ++depth_ <= max_depth_ || TooDeep(); }

bool Parser::TooDeep() {
  return Fail(token_.start,
              absl::StrCat("the query is nested more than the ", max_depth_,
                           " levels allowed; simplify it"));
}

absl::StatusOr<ExprPtr> Parser::Expression() {
  ExprPtr root;
  if (Start()) {
    if (Is(TokenType::kEnd)) {
      Fail(0, "no expression found in input");
    } else {
      root = ParseExpr();
    }
    if (root != nullptr && !Is(TokenType::kEnd)) Unexpected();
  }
  if (!error_) error_ = CheckTypes(*root, text_);
  if (error_) return ErrorStatus();
  return root;
}

absl::StatusOr<std::vector<labels::Matcher>> Parser::MetricSelector() {
  ExprPtr selector;
  if (Start()) {
    const Token name = token_;
    if (IsMetricName(name.type)) {
      Advance();
      selector = ParseSelector(&name);
    } else if (Is(TokenType::kLeftBrace)) {
      selector = ParseSelector(nullptr);
    } else {
      Unexpected();
    }
    if (selector != nullptr && !Is(TokenType::kEnd)) Unexpected();
  }
  if (error_) return ErrorStatus();
  return std::move(static_cast<VectorSelector&>(*selector).matchers);
}

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

// A vector selector of which `name` has been taken, if it has one.
ExprPtr Parser::ParseSelector(const Token* name) {
  auto selector = std::make_unique<VectorSelector>();
  selector->range = name != nullptr ? Range{name->start, name->end()}
                                    : Range{token_.start, token_.end()};
  if (Is(TokenType::kLeftBrace)) {
    Advance();
    if (!ParseMatchers(&selector->matchers)) return nullptr;
    selector->range.end = token_.end();
    Advance();
  }
  if (name != nullptr) {
    selector->name = std::string(name->text);
    absl::StatusOr<labels::Matcher> matcher = labels::Matcher::Create(
        labels::MatchType::kEqual, labels::kMetricName, name->text);
    selector->matchers.push_back(
        *std::move(matcher));  // No regex: cannot fail.
  }
  return ExprPtr(selector.release());
}

// Up to the `}`, which is not taken.
bool Parser::ParseMatchers(std::vector<labels::Matcher>* matchers) {
  constexpr absl::string_view kContext = "label matching";
  while (!Is(TokenType::kRightBrace)) {
    if (!Is(TokenType::kIdentifier)) {
      return Unexpected(kContext, "identifier or \"}\"");
    }
    if (!ParseMatcher(matchers)) return false;
    if (Is(TokenType::kComma)) {
      Advance();
    } else if (!Is(TokenType::kRightBrace)) {
      return Unexpected(kContext, "\",\" or \"}\"");
    }
  }
  return true;
}

bool Parser::ParseMatcher(std::vector<labels::Matcher>* matchers) {
  constexpr absl::string_view kContext = "label matching";
  const Token label = token_;
  Advance();
  labels::MatchType type;
  switch (token_.type) {
    case TokenType::kEqual:
      type = labels::MatchType::kEqual;
      break;
    case TokenType::kNotEqual:
      type = labels::MatchType::kNotEqual;
      break;
    case TokenType::kEqualRegex:
      type = labels::MatchType::kRegex;
      break;
    case TokenType::kNotRegex:
      type = labels::MatchType::kNotRegex;
      break;
    default:
      return Unexpected(kContext, "label matching operator");
  }
  Advance();
  if (!Is(TokenType::kString)) return Unexpected(kContext, "string");
  if (!AddMatcher(type, label, token_, matchers)) return false;
  Advance();
  return true;
}

bool Parser::AddMatcher(labels::MatchType type, const Token& label,
                        const Token& value,
                        std::vector<labels::Matcher>* matchers) {
  absl::StatusOr<labels::Matcher> matcher = labels::Matcher::Create(
      type, label.text, Unquote(value.text), regex_budget_);
  if (!matcher.ok()) {
    return Fail(label.start, std::string(matcher.status().message()));
  }
  regex_budget_ -= matcher->regex_cost();
  matchers->push_back(*std::move(matcher));
  return true;
}

bool Parser::ParseDurationToken(absl::Duration* duration) {
  const absl::StatusOr<absl::Duration> parsed = ParseDuration(token_.text);
  if (!parsed.ok()) {
    return Fail(token_.start, std::string(parsed.status().message()));
  }
  *duration = *parsed;
  Advance();
  return true;
}

// A range or a subquery.
ExprPtr Parser::ParseBracket(ExprPtr expr) {
  const auto unexpected = [this](absl::string_view context,
                                 absl::string_view expected) {
    Unexpected(context, expected);
    return nullptr;
  };
  const Token bracket = token_;
  Advance();
  if (!Is(TokenType::kDuration)) {
    return unexpected("subquery selector", "duration");
  }
  absl::Duration window;
  if (!ParseDurationToken(&window)) return nullptr;
  if (Is(TokenType::kRightBracket)) {
    return MakeMatrix(std::move(expr), bracket, window);
  }
  if (!Is(TokenType::kColon)) {
    return unexpected("subquery or range", "\":\" or \"]\"");
  }
  Advance();
  absl::Duration step;
  if (Is(TokenType::kDuration)) {
    if (!ParseDurationToken(&step)) return nullptr;
    if (!Is(TokenType::kRightBracket)) {
      return unexpected("subquery selector", "\"]\"");
    }
  } else if (!Is(TokenType::kRightBracket)) {
    return unexpected("subquery selector", "duration or \"]\"");
  }
  const Range range{expr->range.start, token_.end()};
  auto subquery = std::make_unique<Subquery>(std::move(expr));
  subquery->range = range;
  subquery->window = window;
  subquery->step = step;
  Advance();
  return ExprPtr(subquery.release());
}

ExprPtr Parser::MakeMatrix(ExprPtr expr, const Token& bracket,
                           absl::Duration window) {
  const auto fail = [&](const char* message) {
    Fail(bracket.start, message);
    return nullptr;
  };
  if (expr->kind != ExprKind::kVectorSelector) {
    return fail("ranges only allowed for vector selectors");
  }
  // `@ start()` is not among them: Prometheus lets it pass.
  const Modifiers& modifiers = static_cast<VectorSelector&>(*expr).modifiers;
  if (modifiers.offset != absl::ZeroDuration()) {
    return fail("no offset modifiers allowed before range");
  }
  if (modifiers.at == Modifiers::At::kTime) {
    return fail("no @ modifiers allowed before range");
  }
  const Range range{expr->range.start, token_.end()};
  auto matrix = std::make_unique<MatrixSelector>(std::move(expr));
  matrix->range = range;
  matrix->window = window;
  Advance();
  return ExprPtr(matrix.release());
}

// Where the modifiers of `expr` are kept; null with an error if it has none.
Modifiers* Parser::FindModifiers(Expr& expr, absl::string_view what) {
  switch (expr.kind) {
    case ExprKind::kVectorSelector:
      return &static_cast<VectorSelector&>(expr).modifiers;
    case ExprKind::kMatrixSelector:
      return &static_cast<MatrixSelector&>(expr).vector().modifiers;
    case ExprKind::kSubquery:
      return &static_cast<Subquery&>(expr).modifiers;
    default:
      Fail(expr.range.start,
           absl::StrCat(what,
                        " modifier must be preceded by an instant vector "
                        "selector or range vector selector or a subquery"));
      return nullptr;
  }
}

bool Parser::ParseOffset(Expr& expr) {
  Advance();
  const bool negative = Is(TokenType::kSubtract);
  if (negative) Advance();
  if (!Is(TokenType::kDuration)) return Unexpected("offset", "duration");
  const int32_t end = token_.end();
  absl::Duration offset;
  if (!ParseDurationToken(&offset)) return false;
  Modifiers* modifiers = FindModifiers(expr, "offset");
  if (modifiers == nullptr) return false;
  if (modifiers->offset != absl::ZeroDuration()) {
    return Fail(expr.range.start, "offset may not be set multiple times");
  }
  modifiers->offset = negative ? -offset : offset;
  expr.range.end = end;
  return true;
}

bool Parser::ParseAt(Expr& expr) {
  Advance();
  if (Is(TokenType::kStart) || Is(TokenType::kEndKeyword)) {
    const Modifiers::At at =
        Is(TokenType::kStart) ? Modifiers::At::kStart : Modifiers::At::kEnd;
    Advance();
    if (!Is(TokenType::kLeftParen)) return Unexpected("@", "timestamp");
    Advance();
    if (!Is(TokenType::kRightParen)) return Unexpected("@", "timestamp");
    const int32_t end = token_.end();
    Advance();
    Modifiers* modifiers = FindModifiers(expr, "@");
    if (modifiers == nullptr) return false;
    if (modifiers->at != Modifiers::At::kNone) {
      return Fail(expr.range.start,
                  "@ <timestamp> may not be set multiple times");
    }
    modifiers->at = at;
    expr.range.end = end;
    return true;
  }
  const bool negative = Is(TokenType::kSubtract);
  if (negative || Is(TokenType::kAdd)) Advance();
  if (!Is(TokenType::kNumber)) return Unexpected("@", "timestamp");
  const int32_t end = token_.end();
  double seconds = 0;
  if (!ParseNumberToken(&seconds)) return false;
  if (!SetTime(expr, negative ? -seconds : seconds)) return false;
  expr.range.end = end;
  return true;
}

bool Parser::SetTime(Expr& expr, double seconds) {
  const double milliseconds = std::round(seconds * 1000);
  if (!(std::abs(milliseconds) <= kMaxTime)) {
    return Fail(expr.range.start,
                absl::StrCat("timestamp out of bounds for @ modifier: ",
                             NumberText(seconds)));
  }
  Modifiers* modifiers = FindModifiers(expr, "@");
  if (modifiers == nullptr) return false;
  if (modifiers->at != Modifiers::At::kNone) {
    return Fail(expr.range.start,
                "@ <timestamp> may not be set multiple times");
  }
  modifiers->at = Modifiers::At::kTime;
  modifiers->time = absl::FromUnixMillis(static_cast<int64_t>(milliseconds));
  return true;
}

}  // namespace

absl::StatusOr<ExprPtr> Parse(absl::string_view text,
                              const ParseOptions& options) {
  return Parser(text, options).Expression();
}

absl::StatusOr<std::vector<labels::Matcher>> ParseMetricSelector(
    absl::string_view text, const ParseOptions& options) {
  return Parser(text, options).MetricSelector();
}

}  // namespace insula::promql
