// Durations of version 3: numbers, and expressions such as `5m + step()`.
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/promql/literal.h"
#include "libs/promql/parser_impl.h"

namespace insula::promql {
namespace {

// Nanoseconds of durations fit 63 bits.
constexpr double kMaxSeconds = 9223372036.0;
constexpr int kSignPrecedence = 5;  // As multiplication.

// 0: no operator of durations.
int Precedence(TokenType type) {
  switch (type) {
    case TokenType::kAdd:
    case TokenType::kSubtract:
      return 4;
    case TokenType::kMultiply:
    case TokenType::kDivide:
    case TokenType::kModulo:
      return 5;
    case TokenType::kPower:
      return 6;
    default:
      return 0;
  }
}

}  // namespace

bool Parser::NeedDurationExpressions(int32_t position) {
  if (options_.dialect.HasDurationExpressions()) return true;
  return Fail(position, "experimental duration expression is not enabled");
}

bool Parser::ToWindow(const DurationTerm& term, int32_t position,
                      Window* window) {
  if (!term.literal) {
    window->expression = term.text;
    return true;
  }
  if (!(std::abs(term.seconds) <= kMaxSeconds)) {
    return Fail(position, "duration out of range");
  }
  const double milliseconds = std::trunc(term.seconds * 1000);
  if (milliseconds == 0 && term.seconds != 0) {
    return Fail(position, "duration is shorter than 1ms");
  }
  window->duration = absl::Milliseconds(static_cast<int64_t>(milliseconds));
  return true;
}

// Of a range or a step.
bool Parser::ParseWindow(Window* window) {
  const int32_t position = token_.start;
  DurationTerm term;
  if (!ParseDurationExpr(/*primary=*/false, &term)) return false;
  if (term.literal && !(term.seconds > 0)) {
    return Fail(position, "duration must be greater than 0");
  }
  return ToWindow(term, position, window);
}

// Behind `offset` no operator is taken but for a sign.
bool Parser::ParseOffsetValue(Window* offset) {
  const int32_t position = token_.start;
  const bool minus = Is(TokenType::kSubtract);
  if (minus || Is(TokenType::kAdd)) Advance();
  DurationTerm term;
  if (!ParseDurationExpr(/*primary=*/true, &term)) return false;
  if (minus) NegateDuration(&term);
  return ToWindow(term, position, offset);
}

// Operator precedence by a stack of what waits, without recursion. With
// `primary` only what may stand behind `offset`.
bool Parser::ParseDurationExpr(bool primary, DurationTerm* term) {
  durations_.clear();
  while (true) {
    bool done = false;  // `term` is an operand.
    const bool signs = !primary || !durations_.empty();
    if (!ParseDurationOperand(signs, term, &done)) return false;
    while (done) {
      if (primary && durations_.empty()) return true;
      if (!ParseDurationOperator(term, &done)) return false;
      if (!done) break;
      if (durations_.empty()) return true;
      if (!ParseDurationClosing(term, &done)) return false;
    }
  }
}

bool Parser::ParseDurationOperand(bool signs, DurationTerm* term, bool* done) {
  using Kind = DurationPending::Kind;
  const Token token = token_;
  if (signs && (Is(TokenType::kAdd) || Is(TokenType::kSubtract))) {
    if (!Enter()) return false;
    durations_.push_back(
        {.kind = Kind::kSign, .token = token, .precedence = kSignPrecedence});
    Advance();
    return true;
  }
  if (Is(TokenType::kLeftParen)) {
    if (!NeedDurationExpressions(token.start) || !Enter()) return false;
    durations_.push_back({.kind = Kind::kParen, .token = token});
    Advance();
    return true;
  }
  if (IsDurationWord()) return OpenDurationCall(term, done);
  *done = true;
  return ParseDurationLiteral(term);
}

bool Parser::ParseDurationLiteral(DurationTerm* term) {
  term->literal = true;
  term->start = token_.start;
  if (Is(TokenType::kDuration)) {
    absl::Duration duration;
    if (!ParseDurationToken(&duration, /*allow_zero=*/true)) return false;
    term->seconds = absl::ToDoubleSeconds(duration);
    term->text = DurationText(duration);
    return true;
  }
  if (!Is(TokenType::kNumber)) {
    return Unexpected("duration", "number, duration, step(), or range()");
  }
  if (!ParseNumberToken(&term->seconds)) return false;
  term->text = NumberText(term->seconds);
  return true;
}

bool Parser::OpenDurationCall(DurationTerm* term, bool* done) {
  const Token token = token_;
  if (!NeedDurationExpressions(token.start) || !Enter()) return false;
  const std::string name = absl::AsciiStrToLower(token.text);
  Advance();
  if (!Is(TokenType::kLeftParen)) return Unexpected("duration", "\"(\"");
  Advance();
  if (name == "min_of" || name == "max_of") {
    durations_.push_back({.kind = DurationPending::Kind::kCall,
                          .token = token,
                          .call = absl::StrCat(name, "(")});
    return true;
  }
  if (!Is(TokenType::kRightParen)) return Unexpected("duration", "\")\"");
  Advance();
  Leave();
  *term = DurationTerm{.text = absl::StrCat(name, "()"), .start = token.start};
  *done = true;
  return true;
}

// Applies what binds `term` more than the operator behind it, if there is one,
// for which `term` waits then.
bool Parser::ParseDurationOperator(DurationTerm* term, bool* done) {
  const Token op = token_;
  const int precedence = Precedence(op.type);
  const bool right = op.type == TokenType::kPower;
  while (!durations_.empty() && durations_.back().precedence > 0) {
    const int top = durations_.back().precedence;
    if (top < precedence || (top == precedence && right)) break;
    if (!ReduceDuration(term)) return false;
  }
  if (precedence == 0) return true;
  if (!NeedDurationExpressions(term->start) || !Enter()) return false;
  durations_.push_back({.kind = DurationPending::Kind::kOperator,
                        .token = op,
                        .precedence = precedence,
                        .left = std::move(*term)});
  *term = DurationTerm();
  *done = false;
  Advance();
  return true;
}

// Applies the sign or operator on top of the stack.
bool Parser::ReduceDuration(DurationTerm* term) {
  DurationPending top = std::move(durations_.back());
  durations_.pop_back();
  Leave();
  if (top.kind == DurationPending::Kind::kSign) {
    if (top.token.type == TokenType::kSubtract) NegateDuration(term);
    term->start = top.token.start;
    return true;
  }
  const bool divides = top.token.type == TokenType::kDivide ||
                       top.token.type == TokenType::kModulo;
  if (divides && term->literal && term->seconds == 0) {
    return Fail(top.token.start, top.token.type == TokenType::kDivide
                                     ? "division by zero"
                                     : "modulo by zero");
  }
  absl::StrAppend(&top.left.text, " ", top.token.text, " ", term->text);
  *term = std::move(top.left);
  term->literal = false;
  return true;
}

void Parser::NegateDuration(DurationTerm* term) {
  // `--5m` is no token of PromQL, and reads as two signs.
  term->text = absl::StrCat("-", term->text);  // GCC 12 warns of insert().
  term->seconds = -term->seconds;
}

// Behind a whole expression in parentheses: the comma or the `)`.
bool Parser::ParseDurationClosing(DurationTerm* term, bool* done) {
  DurationPending& top = durations_.back();
  const bool call = top.kind == DurationPending::Kind::kCall;
  if (call && top.arguments == 0) {
    if (!Is(TokenType::kComma)) return Unexpected("duration", "\",\"");
    absl::StrAppend(&top.call, term->text, ", ");
    ++top.arguments;
    *done = false;
    Advance();
    return true;
  }
  if (!Is(TokenType::kRightParen)) return Unexpected("duration", "\")\"");
  Advance();
  Leave();
  if (call) {
    term->text = absl::StrCat(top.call, term->text, ")");
    term->literal = false;
  } else if (!term->literal || term->seconds < 0) {
    // A sign would bind in another way outside: (-2)^2.
    term->text = absl::StrCat("(", term->text, ")");
  }
  term->start = top.token.start;
  durations_.pop_back();
  return true;
}

}  // namespace insula::promql
