// Selectors: matchers, ranges, subqueries, `offset` and `@`.
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/labels/matcher.h"
#include "libs/promql/literal.h"
#include "libs/promql/parser_impl.h"
#include "libs/promql/quote.h"

namespace insula::promql {
namespace {

// Milliseconds from which on seconds in a double are not exact.
constexpr double kMaxTime = 9007199254740992.0;

}  // namespace

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

}  // namespace insula::promql
