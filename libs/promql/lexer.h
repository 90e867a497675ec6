// Splits the text of a PromQL expression into tokens.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "libs/promql/dialect.h"
#include "libs/promql/token.h"

namespace insula::promql {

// Makes tokens of `input`, which must outlive it and be shorter than 2 GiB.
// Comments and spaces are skipped. Keywords are known in any case of letters,
// and only outside of braces.
class Lexer {
 public:
  explicit Lexer(absl::string_view input, const Dialect& dialect = {})
      : input_(input), dialect_(dialect) {}

  // The next token. After kEnd or kError, the same again.
  Token Next();

  // What is wrong, after kError; its place is the token's start.
  const std::string& error() const { return error_; }

 private:
  // A character: a code point, kEof, or U+FFFD for a byte that is not UTF-8.
  char32_t Peek();
  char32_t Take();
  bool Accept(char c);
  bool Accept(absl::string_view set);
  void AcceptDigits(bool hex, bool separators);
  // Goes on over all bytes of a class. All classes that they have.
  uint16_t Skip(uint16_t one_class);

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
  Token WordInBracket(char32_t c);
  bool HasTrim() const { return dialect_.version >= Version{3, 11}; }
  TokenType Keyword(absl::string_view word) const;
  bool Number();
  bool RestOfDuration();
  void SkipSpaces();
  void SkipSpacesAndComments();

  Token Emit(TokenType type);
  Token Fail(std::string message);

  const absl::string_view input_;
  const Dialect dialect_;
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

}  // namespace insula::promql
