// The words and signs that PromQL is made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace insula::promql {

enum class TokenType : uint8_t {
  kEnd,
  kError,  // Lexer::error() says what is wrong; the lexer stays there.

  kColon,
  kComma,
  kDuration,
  kIdentifier,
  kLeftBrace,
  kLeftBracket,
  kLeftParen,
  kMetricIdentifier,  // Holds a colon.
  kNumber,
  kRightBrace,
  kRightBracket,
  kRightParen,
  kString,  // With its quotes.

  // Operators.
  kAdd,
  kAnd,
  kAt,
  kAtan2,
  kDivide,
  kEqual,  // `=`
  kEqualEqual,
  kEqualRegex,
  kGreater,
  kGreaterOrEqual,
  kLess,
  kLessOrEqual,
  kModulo,
  kMultiply,
  kNotEqual,
  kNotRegex,
  kOr,
  kPower,
  kSubtract,
  kTrimLower,
  kTrimUpper,
  kUnless,

  // Aggregations.
  kAvg,
  kBottomk,
  kCount,
  kCountValues,
  kGroup,
  kLimitRatio,
  kLimitk,
  kMax,
  kMin,
  kQuantile,
  kStddev,
  kStdvar,
  kSum,
  kTopk,

  // Keywords.
  kAnchored,
  kBool,
  kBy,
  kFill,
  kFillLeft,
  kFillRight,
  kGroupLeft,
  kGroupRight,
  kIgnoring,
  kOffset,
  kOn,
  kSmoothed,
  kWithout,

  // Keywords of `@ start()` and `@ end()`.
  kStart,
  kEndKeyword,  // The last.
};
inline constexpr size_t kTokenTypes =
    static_cast<size_t>(TokenType::kEndKeyword) + 1;

constexpr bool IsOperator(TokenType t) {
  return t >= TokenType::kAdd && t <= TokenType::kUnless;
}
constexpr bool IsAggregator(TokenType t) {
  return t >= TokenType::kAvg && t <= TokenType::kTopk;
}
constexpr bool IsKeyword(TokenType t) {
  return t >= TokenType::kAnchored && t <= TokenType::kWithout;
}

struct Token {
  TokenType type = TokenType::kEnd;
  int32_t start = 0;  // Offset of its first byte.
  absl::string_view text;

  int32_t end() const { return start + static_cast<int32_t>(text.size()); }
};

// The keyword, in any case of letters, or the number (`inf`, `nan`) that `word`
// is; kIdentifier if none. Of all dialects; the lexer knows its own.
TokenType KeywordType(absl::string_view word);

// step, range, min_of and max_of, in any case of letters.
bool IsDurationFunction(absl::string_view word);

// Words that may stand where a metric name does: identifiers, and keywords such
// as `by` and `sum`.
bool IsMetricName(TokenType type);

// Words that may be a label in `by (...)`, `on (...)` and the like.
bool IsGroupingLabel(TokenType type);

// Whether an expression may begin with it.
bool StartsExpression(TokenType type);

// How an error names the token: `identifier "foo"`, `<op:+>`, `end of input`.
std::string Describe(const Token& token);

}  // namespace insula::promql
