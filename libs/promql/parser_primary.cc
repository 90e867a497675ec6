// What operands are: literals, calls and aggregations.
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/promql/functions.h"
#include "libs/promql/literal.h"
#include "libs/promql/parser_impl.h"
#include "libs/promql/quote.h"

namespace insula::promql {
namespace {

AggregateOp AggregateOperator(TokenType type) {
  // Both enumerations are in alphabetical order.
  return static_cast<AggregateOp>(static_cast<int>(type) -
                                  static_cast<int>(TokenType::kAvg));
}
static_assert(static_cast<int>(TokenType::kTopk) -
                  static_cast<int>(TokenType::kAvg) ==
              static_cast<int>(AggregateOp::kTopk));

}  // namespace

bool Parser::ParseNumberToken(double* value) {
  const absl::StatusOr<double> number = options_.dialect.IsVersion3()
                                            ? ParseSeparatedNumber(token_.text)
                                            : ParseNumber(token_.text);
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

// A duration where a number stands: its seconds.
ExprPtr Parser::ParseDurationNumber() {
  auto number = std::make_unique<Number>();
  number->range = Range{token_.start, token_.end()};
  absl::Duration duration;
  if (!ParseDurationToken(&duration, /*allow_zero=*/true)) return nullptr;
  number->value = absl::ToDoubleSeconds(duration);
  number->duration = true;
  return ExprPtr(number.release());
}

ExprPtr Parser::ParseStringLiteral() {
  auto string = std::make_unique<String>();
  string->range = Range{token_.start, token_.end()};
  string->value = Unquote(token_.text);
  Advance();
  return ExprPtr(string.release());
}

// The `)` is next, so that its place is known.
ExprPtr Parser::FinishCall(Opening&& opening) {
  const Token& name = opening.token;
  auto& args = opening.args;
  const Function* function = FindFunction(name.text);
  if (function == nullptr || !IsKnown(*function, options_.dialect)) {
    Fail(name.start,
         absl::StrCat("unknown function with name ", Quoted(name.text)));
    return nullptr;
  }
  if (!IsEnabled(*function, options_.dialect)) {
    Fail(name.start,
         absl::StrCat("function ", Quoted(name.text), " is not enabled"));
    return nullptr;
  }
  if (function->name == "info" && args.size() == 2 &&
      args[1]->kind == ExprKind::kVectorSelector) {
    static_cast<VectorSelector&>(*args[1]).labels_only = true;
  }
  auto call = std::make_unique<Call>(function);
  call->range = Range{name.start, token_.end()};
  call->args.assign(std::make_move_iterator(args.begin()),
                    std::make_move_iterator(args.end()));
  Advance();
  return ExprPtr(call.release());
}

// The operator has been taken.
bool Parser::OpenAggregate(const Token& op, ExprPtr* operand) {
  Opening opening{.kind = Opening::Kind::kAggregate, .token = op};
  opening.aggregate = std::make_unique<Aggregate>();
  opening.grouped = !Is(TokenType::kLeftParen);
  ++aggregations_;
  if (opening.grouped && !ParseGrouping(*opening.aggregate)) return false;
  if (!Is(TokenType::kLeftParen)) return Unexpected();
  return OpenArguments(std::move(opening), operand);
}

// The `)` is next.
ExprPtr Parser::FinishAggregate(Opening&& opening) {
  int32_t end = token_.end();
  Advance();
  if (!opening.grouped && (Is(TokenType::kBy) || Is(TokenType::kWithout))) {
    if (!ParseGrouping(*opening.aggregate)) return nullptr;
    end = taken_end_;
  }
  --aggregations_;
  return BuildAggregate(std::move(opening), end);
}

bool Parser::ParseGrouping(Aggregate& node) {
  node.without = Is(TokenType::kWithout);
  Advance();
  return ParseLabels(&node.grouping);
}

ExprPtr Parser::BuildAggregate(Opening&& opening, int32_t end) {
  const Token& op = opening.token;
  auto& args = opening.args;
  std::unique_ptr<Aggregate> node = std::move(opening.aggregate);
  node->op = AggregateOperator(op.type);
  node->range = Range{op.start, end};
  const bool limit =
      node->op == AggregateOp::kLimitk || node->op == AggregateOp::kLimitRatio;
  if (limit && !options_.dialect.experimental_functions) {
    Fail(op.start,
         absl::StrCat(Name(node->op), "() is experimental and not enabled"));
    return nullptr;
  }
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
