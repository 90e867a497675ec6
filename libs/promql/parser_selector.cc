// Selectors: matchers, ranges, subqueries, `offset` and `@`.
#include <cmath>
#include <cstddef>
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
#include "libs/labels/validity.h"
#include "libs/promql/literal.h"
#include "libs/promql/parser_impl.h"
#include "libs/promql/quote.h"

namespace insula::promql {
namespace {

// Milliseconds from which on seconds in a double are not exact.
constexpr double kMaxTime = 9007199254740992.0;

// Expressions that are kept to be used again. Cheap ones labels::Matcher keeps.
constexpr size_t kMaxCompiled = 16;
constexpr size_t kCheap = 1024;

// A metric name, two labels and one that is enforced.
constexpr size_t kUsualMatchers = 4;

void AddEqual(absl::string_view label, absl::string_view value,
              std::vector<labels::Matcher>* matchers) {
  // No expression: it cannot fail.
  matchers->push_back(
      *labels::Matcher::Create(labels::MatchType::kEqual, label, value));
}

}  // namespace

// A vector selector of which `name` has been taken, if it has one.
ExprPtr Parser::ParseSelector(const Token* name) {
  auto selector = std::make_unique<VectorSelector>();
  selector->range = name != nullptr ? Range{name->start, name->end()}
                                    : Range{token_.start, token_.end()};
  if (Is(TokenType::kLeftBrace)) {
    Advance();
    // With room for those that confine it.
    selector->matchers.reserve(kUsualMatchers);
    if (!ParseMatchers(&selector->matchers)) return nullptr;
    selector->range.end = token_.end();
    Advance();
  }
  if (name != nullptr) {
    selector->name = std::string(name->text);
    selector->matchers.reserve(2);
    AddEqual(labels::kMetricName, name->text, &selector->matchers);
  }
  return ExprPtr(selector.release());
}

// Up to the `}`, which is not taken.
bool Parser::ParseMatchers(std::vector<labels::Matcher>* matchers) {
  constexpr absl::string_view kContext = "label matching";
  while (!Is(TokenType::kRightBrace)) {
    const bool quoted = Is(TokenType::kString) && options_.dialect.IsVersion3();
    if (!Is(TokenType::kIdentifier) && !quoted) {
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
  absl::string_view name = label.text;
  std::string unquoted;
  if (label.type == TokenType::kString) {
    name = Unquote(label.text, &unquoted);
    if (!CheckName(name)) return false;
    Advance();
    if (Is(TokenType::kComma) || Is(TokenType::kRightBrace)) {
      // The name of the metric, as it may stand without a label.
      AddEqual(labels::kMetricName, name, matchers);
      return true;
    }
  } else {
    Advance();
  }
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
  if (!AddMatcher(type, label.start, name, token_, matchers)) return false;
  Advance();
  return true;
}

// Of the token that is next.
bool Parser::CheckName(absl::string_view name) {
  if (!name.empty() && labels::IsValidUtf8(name)) return true;
  return Fail(token_.start, absl::StrCat("invalid name: ", Quoted(name),
                                         "; it must be UTF-8 and not empty"));
}

bool Parser::AddMatcher(labels::MatchType type, int32_t position,
                        absl::string_view label, const Token& value,
                        std::vector<labels::Matcher>* matchers) {
  std::string unquoted;
  const absl::string_view text = Unquote(value.text, &unquoted);
  if (type == labels::MatchType::kEqual) {
    AddEqual(label, text, matchers);
    return true;
  }
  // Queries repeat expressions, which are dear to compile.
  for (const labels::Matcher& known : compiled_) {
    if (known.type() == type && known.value() == text &&
        known.name() == label && known.regex_cost() <= regex_budget_) {
      regex_budget_ -= known.regex_cost();
      matchers->push_back(known);
      return true;
    }
  }
  absl::StatusOr<labels::Matcher> matcher =
      labels::Matcher::Create(type, label, text, regex_budget_);
  if (!matcher.ok()) {
    return Fail(position, std::string(matcher.status().message()));
  }
  regex_budget_ -= matcher->regex_cost();
  if (matcher->regex_cost() > kCheap && compiled_.size() < kMaxCompiled) {
    compiled_.push_back(*matcher);
  }
  matchers->push_back(*std::move(matcher));
  return true;
}

bool Parser::ParseDurationToken(absl::Duration* duration, bool allow_zero) {
  const absl::StatusOr<absl::Duration> parsed =
      ParseDuration(token_.text, allow_zero);
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
  const bool version3 = options_.dialect.IsVersion3();
  if (!version3 && !Is(TokenType::kDuration)) {
    return unexpected("subquery selector", "duration");
  }
  Window window;
  if (!(version3 ? ParseWindow(&window)
                 : ParseDurationToken(&window.duration))) {
    return nullptr;
  }
  if (Is(TokenType::kRightBracket)) {
    return MakeMatrix(std::move(expr), bracket, std::move(window));
  }
  if (!Is(TokenType::kColon)) {
    return unexpected("subquery or range", "\":\" or \"]\"");
  }
  Advance();
  Window step;
  if (version3 ? !Is(TokenType::kRightBracket) : Is(TokenType::kDuration)) {
    if (!(version3 ? ParseWindow(&step) : ParseDurationToken(&step.duration))) {
      return nullptr;
    }
    if (!Is(TokenType::kRightBracket)) {
      return unexpected("subquery selector", "\"]\"");
    }
  } else if (!Is(TokenType::kRightBracket)) {
    return unexpected("subquery selector", "duration or \"]\"");
  }
  const Range range{expr->range.start, token_.end()};
  auto subquery = std::make_unique<Subquery>(std::move(expr));
  subquery->range = range;
  subquery->window = window.duration;
  subquery->window_expression = std::move(window.expression);
  subquery->step = step.duration;
  subquery->step_expression = std::move(step.expression);
  Advance();
  return ExprPtr(subquery.release());
}

ExprPtr Parser::MakeMatrix(ExprPtr expr, const Token& bracket, Window window) {
  const auto fail = [&](const char* message) {
    Fail(bracket.start, message);
    return nullptr;
  };
  if (expr->kind != ExprKind::kVectorSelector) {
    return fail("ranges only allowed for vector selectors");
  }
  // `@ start()` is not among them: Prometheus lets it pass.
  const Modifiers& modifiers = static_cast<VectorSelector&>(*expr).modifiers;
  if (modifiers.offset != absl::ZeroDuration() ||
      !modifiers.offset_expression.empty()) {
    return fail("no offset modifiers allowed before range");
  }
  if (modifiers.at == Modifiers::At::kTime) {
    return fail("no @ modifiers allowed before range");
  }
  if (static_cast<VectorSelector&>(*expr).extension !=
      VectorSelector::Extension::kNone) {
    return fail("no anchored or smoothed modifiers allowed before range");
  }
  const Range range{expr->range.start, token_.end()};
  auto matrix = std::make_unique<MatrixSelector>(std::move(expr));
  matrix->range = range;
  matrix->window = window.duration;
  matrix->window_expression = std::move(window.expression);
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
  Window offset;
  if (options_.dialect.IsVersion3()) {
    if (!ParseOffsetValue(&offset)) return false;
  } else {
    const bool negative = Is(TokenType::kSubtract);
    if (negative) Advance();
    if (!Is(TokenType::kDuration)) return Unexpected("offset", "duration");
    if (!ParseDurationToken(&offset.duration)) return false;
    if (negative) offset.duration = -offset.duration;
  }
  Modifiers* modifiers = FindModifiers(expr, "offset");
  if (modifiers == nullptr) return false;
  if (modifiers->offset != absl::ZeroDuration() ||
      !modifiers->offset_expression.empty()) {
    return Fail(expr.range.start, "offset may not be set multiple times");
  }
  modifiers->offset = offset.duration;
  modifiers->offset_expression = std::move(offset.expression);
  expr.range.end = taken_end_;
  return true;
}

bool Parser::ParseExtension(Expr& expr) {
  using Extension = VectorSelector::Extension;
  const absl::string_view word =
      Is(TokenType::kAnchored) ? "anchored" : "smoothed";
  VectorSelector* selector = nullptr;
  if (expr.kind == ExprKind::kVectorSelector) {
    selector = static_cast<VectorSelector*>(&expr);
  } else if (expr.kind == ExprKind::kMatrixSelector) {
    selector = &static_cast<MatrixSelector&>(expr).vector();
  } else {
    return Fail(expr.range.start,
                absl::StrCat(word,
                             " modifier must be preceded by an instant vector "
                             "selector or range vector selector"));
  }
  if (selector->extension != Extension::kNone) {
    return Fail(expr.range.start,
                "anchored and smoothed may not be set multiple times");
  }
  selector->extension =
      Is(TokenType::kAnchored) ? Extension::kAnchored : Extension::kSmoothed;
  expr.range.end = token_.end();
  Advance();
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
  const int32_t end = token_.end();
  double seconds = 0;
  if (Is(TokenType::kDuration) && options_.dialect.IsVersion3()) {
    absl::Duration time;
    if (!ParseDurationToken(&time, /*allow_zero=*/true)) return false;
    seconds = absl::ToDoubleSeconds(time);
  } else if (!Is(TokenType::kNumber)) {
    return Unexpected("@", "timestamp");
  } else if (!ParseNumberToken(&seconds)) {
    return false;
  }
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
