// Splits the text of a PromQL expression into tokens.
#pragma once

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
  kUnless,

  // Aggregations.
  kAvg,
  kBottomk,
  kCount,
  kCountValues,
  kGroup,
  kMax,
  kMin,
  kQuantile,
  kStddev,
  kStdvar,
  kSum,
  kTopk,

  // Keywords.
  kBool,
  kBy,
  kGroupLeft,
  kGroupRight,
  kIgnoring,
  kOffset,
  kOn,
  kWithout,

  // Keywords of `@ start()` and `@ end()`.
  kStart,
  kEndKeyword,
};

constexpr bool IsOperator(TokenType t) {
  return t >= TokenType::kAdd && t <= TokenType::kUnless;
}
constexpr bool IsAggregator(TokenType t) {
  return t >= TokenType::kAvg && t <= TokenType::kTopk;
}
constexpr bool IsKeyword(TokenType t) {
  return t >= TokenType::kBool && t <= TokenType::kWithout;
}

struct Token {
  TokenType type = TokenType::kEnd;
  int32_t start = 0;  // Offset of its first byte.
  absl::string_view text;

  int32_t end() const { return start + static_cast<int32_t>(text.size()); }
};

// Makes tokens of `input`, which must outlive it and be shorter than 2 GiB.
// Comments and spaces are skipped. Keywords are known in any case of letters,
// and only outside of braces.
class Lexer {
 public:
  explicit Lexer(absl::string_view input) : input_(input) {}

  // The next token. After kEnd or kError, the same again.
  Token Next();

  // What is wrong, after kError; its place is the token's start.
  const std::string& error() const { return error_; }

 private:
  // A character: a code point, kEof, or U+FFFD for a byte that is not UTF-8.
  char32_t Peek();
  char32_t Take();
  bool Accept(absl::string_view set);
  void AcceptDigits(bool hex);

  // Each scans a token from start_, of which the first character has been
  // taken if that decided its type.
  Token Statement();
  Token Braces();
  Token String(char quote);
  Token RawString();
  bool Escape(char quote);
  Token Identifier();
  Token KeywordOrIdentifier();
  Token NumberOrDuration();
  Token Bracket();
  Token ColonInBracket(char32_t c);
  bool Number();
  bool RestOfDuration();
  void SkipSpacesAndComments();

  Token Emit(TokenType type);
  Token Fail(std::string message);

  absl::string_view input_;
  size_t pos_ = 0;
  size_t start_ = 0;
  size_t width_ = 0;  // Of the character that Peek() or Take() saw.
  int64_t paren_depth_ = 0;
  bool brace_open_ = false;
  bool bracket_open_ = false;
  bool got_colon_ = false;
  bool expect_duration_ = false;  // A `[` has just been emitted.
  bool failed_ = false;
  std::string error_;
};

// How an error names the token: `identifier "foo"`, `<op:+>`, `end of input`.
std::string Describe(const Token& token);

}  // namespace insula::promql
