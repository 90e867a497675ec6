#include "libs/promql/lexer.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "libs/promql/quote.h"

namespace insula::promql {
namespace {

constexpr char32_t kEof = 0xFFFFFFFF;

constexpr bool IsDigit(char32_t c) { return c >= '0' && c <= '9'; }
constexpr bool IsAlpha(char32_t c) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool IsAlphaNumeric(char32_t c) { return IsAlpha(c) || IsDigit(c); }

// The token that a byte alone is outside of braces; kEnd if none.
constexpr std::array<TokenType, 128> MakeSigns() {
  std::array<TokenType, 128> signs{};
  signs[','] = TokenType::kComma;
  signs['*'] = TokenType::kMultiply;
  signs['/'] = TokenType::kDivide;
  signs['%'] = TokenType::kModulo;
  signs['+'] = TokenType::kAdd;
  signs['-'] = TokenType::kSubtract;
  signs['^'] = TokenType::kPower;
  signs['@'] = TokenType::kAt;
  signs['('] = TokenType::kLeftParen;
  signs[')'] = TokenType::kRightParen;
  return signs;
}
constexpr std::array<TokenType, 128> kSigns = MakeSigns();

// What a byte may be: a set of these.
enum : uint16_t {
  kNone = 0,
  kStart = 1,     // Begins an identifier.
  kWord = 2,      // Within an identifier.
  kColon = 4,     // `:`
  kName = 8,      // Within the name of a metric.
  kDecimal = 16,  // A digit.
  kSpace = 32,
  kHash = 64,      // Begins a comment.
  kSkipped = 128,  // Belongs to a comment that has begun.
  kQuoted = 256,   // Stands for itself in any quotes.
  kSign = 512,     // One of kSigns.
};
constexpr uint16_t ClassesOfByte(size_t c) {
  uint16_t classes = kNone;
  const auto add = [&classes](bool is, uint16_t what) {
    if (is) classes |= what;
  };
  const bool special =
      c >= 0x80 || c == '"' || c == '\'' || c == '`' || c == '\\' || c == '\n';
  add(IsAlpha(c), kStart);
  add(IsAlphaNumeric(c), kWord | kName);
  add(c == ':', kColon | kName);
  add(IsDigit(c), kDecimal);
  add(c == ' ' || c == '\t' || c == '\n' || c == '\r', kSpace);
  add(c == '#', kHash);
  add(c != '\r' && c != '\n', kSkipped);
  add(!special, kQuoted);
  add(c < kSigns.size() && kSigns[c] != TokenType::kEnd, kSign);
  return classes;
}
constexpr std::array<uint16_t, 256> MakeClasses() {
  std::array<uint16_t, 256> classes{};
  for (size_t c = 0; c < classes.size(); ++c) classes[c] = ClassesOfByte(c);
  return classes;
}
constexpr std::array<uint16_t, 256> kClasses = MakeClasses();

uint16_t ClassesOf(char c) { return kClasses[static_cast<uint8_t>(c)]; }

int DigitValue(char32_t c) {
  if (IsDigit(c)) return static_cast<int>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<int>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<int>(c - 'A' + 10);
  return 16;
}

// As Go's `%#U`: U+0041 'A', and only the number of what cannot be seen.
std::string CodePoint(char32_t c) {
  const std::string number =
      absl::StrFormat("U+%04X", static_cast<uint32_t>(c));
  if (c == '\'' || c == '\\') {
    return absl::StrCat(number, " '", std::string(1, static_cast<char>(c)),
                        "'");
  }
  const std::string quoted = QuotedCharacter(c);
  return quoted[1] == '\\' ? number : absl::StrCat(number, " ", quoted);
}

}  // namespace

inline char32_t Lexer::Peek() {
  if (pos_ >= input_.size()) {
    width_ = 0;
    return kEof;
  }
  char32_t c = static_cast<uint8_t>(input_.data()[pos_]);
  width_ = c < 0x80 ? 1 : DecodeCharacter(input_.substr(pos_), &c);
  return c;
}

inline char32_t Lexer::Take() {
  const char32_t c = Peek();
  pos_ += width_;
  return c;
}

inline bool Lexer::Accept(char c) {
  const bool there = pos_ < input_.size() && input_.data()[pos_] == c;
  pos_ += there;
  return there;
}

bool Lexer::Accept(absl::string_view set) {
  // A few, for which to call a function costs more.
  for (const char c : set) {
    if (Accept(c)) return true;
  }
  return false;
}

void Lexer::AcceptDigits(bool hex, bool separators) {
  while (pos_ < input_.size()) {
    const auto c = static_cast<unsigned char>(input_[pos_]);
    if (!(separators && c == '_') &&
        !(hex ? absl::ascii_isxdigit(c) : absl::ascii_isdigit(c)))
      return;
    ++pos_;
  }
}

inline uint16_t Lexer::Skip(uint16_t one_class) {
  uint16_t seen = 0;
  const char* at = input_.data() + pos_;
  const char* const end = input_.data() + input_.size();
  while (end - at >= 4) {
    const uint16_t a = ClassesOf(at[0]);
    const uint16_t b = ClassesOf(at[1]);
    const uint16_t c = ClassesOf(at[2]);
    const uint16_t d = ClassesOf(at[3]);
    if ((a & b & c & d & one_class) == 0) break;
    seen |= a | b | c | d;
    at += 4;
  }
  while (at != end && (ClassesOf(*at) & one_class) != 0) {
    seen |= ClassesOf(*at++);
  }
  pos_ = static_cast<size_t>(at - input_.data());
  return seen;
}

inline Token Lexer::Emit(TokenType type) {
  const size_t start = start_;
  start_ = pos_;
  return Token{type, static_cast<int32_t>(start),
               absl::string_view(input_.data() + start, pos_ - start)};
}

Token Lexer::Fail(std::string message) {
  failed_ = true;
  error_ = std::move(message);
  return Token{TokenType::kError, static_cast<int32_t>(start_), {}};
}

// Runs of spaces, which indent lines, by eight.
inline void Lexer::SkipSpaces() {
  const char* at = input_.data() + pos_;
  const char* const end = input_.data() + input_.size();
  while (at != end && (ClassesOf(*at) & kSpace) != 0) {
    ++at;
    while (end - at >= 8 && std::memcmp(at, "        ", 8) == 0) at += 8;
  }
  pos_ = static_cast<size_t>(at - input_.data());
}

void Lexer::SkipSpacesAndComments() {
  SkipSpaces();
  while (pos_ < input_.size() && input_.data()[pos_] == '#') {
    Skip(kSkipped);
    SkipSpaces();
  }
  start_ = pos_;
}

Token Lexer::Next() {
  if (failed_) {
    return Token{TokenType::kError, static_cast<int32_t>(start_), {}};
  }
  if (expect_duration_) {
    expect_duration_ = false;
    return Bracket();
  }
  const auto classes = [this] {
    return pos_ < input_.size() ? ClassesOf(input_.data()[pos_])
                                : uint16_t{kNone};
  };
  uint16_t first = classes();
  if ((first & (kSpace | kHash)) != 0) {
    SkipSpacesAndComments();
    first = classes();
  }
  start_ = pos_;
  // What begins as most tokens do. Of the rest Braces() and Statement() know.
  if ((first & kStart) != 0) {
    if (brace_open_) return Identifier();
    if (!bracket_open_) return KeywordOrIdentifier();
  }
  if (!brace_open_ && (first & kSign) != 0) {
    const char c = input_.data()[pos_++];
    if (c == '(') ++paren_depth_;
    if (c == ')' && --paren_depth_ < 0) {
      start_ = pos_;
      return Fail("unexpected right parenthesis ')'");
    }
    return Emit(kSigns[static_cast<uint8_t>(c)]);
  }
  return brace_open_ ? Braces() : Statement();
}

Token Lexer::Statement() {
  const char32_t c = Take();
  switch (c) {
    case kEof:
      if (paren_depth_ != 0) return Fail("unclosed left parenthesis");
      if (bracket_open_) return Fail("unclosed left bracket");
      return Emit(TokenType::kEnd);
    case '=':
      if (Accept('=')) return Emit(TokenType::kEqualEqual);
      if (Peek() == '~') return Fail("unexpected character after '=': '~'");
      return Emit(TokenType::kEqual);
    case '!':
      if (Accept('=')) return Emit(TokenType::kNotEqual);
      return Fail(absl::StrCat("unexpected character after '!': ",
                               QuotedCharacter(Peek())));
    case '<':
      if (HasTrim() && Accept('/')) return Emit(TokenType::kTrimUpper);
      return Emit(Accept('=') ? TokenType::kLessOrEqual : TokenType::kLess);
    case '>':
      if (HasTrim() && Accept('/')) return Emit(TokenType::kTrimLower);
      return Emit(Accept('=') ? TokenType::kGreaterOrEqual
                              : TokenType::kGreater);
    case '"':
    case '\'':
      return String(static_cast<char>(c));
    case '`':
      return RawString();
    case '{':
      brace_open_ = true;
      return Emit(TokenType::kLeftBrace);
    case '[':
      if (bracket_open_) return Fail("unexpected left bracket '['");
      bracket_open_ = true;
      got_colon_ = false;
      expect_duration_ = !dialect_.IsVersion3();
      return Emit(TokenType::kLeftBracket);
    case ']':
      if (!bracket_open_) return Fail("unexpected right bracket ']'");
      bracket_open_ = false;
      return Emit(TokenType::kRightBracket);
    default:
      break;
  }
  if (IsDigit(c) || (c == '.' && IsDigit(Peek()))) {
    pos_ = start_;
    return NumberOrDuration();
  }
  if (IsAlpha(c) || c == ':') {
    if (!bracket_open_) return KeywordOrIdentifier();
    return dialect_.IsVersion3() ? WordInBracket(c) : ColonInBracket(c);
  }
  return Fail(absl::StrCat("unexpected character: ", QuotedCharacter(c)));
}

// Prometheus 2.42 takes a letter for a colon here: `[5m x1m]` is `[5m:1m]`.
Token Lexer::ColonInBracket(char32_t c) {
  if (got_colon_) {
    return Fail(absl::StrCat("unexpected colon ", QuotedCharacter(c)));
  }
  got_colon_ = true;
  return Emit(TokenType::kColon);
}

// Of version 3: a colon, or the name of a function of durations.
Token Lexer::WordInBracket(char32_t c) {
  if (c == ':') return ColonInBracket(c);
  while (pos_ < input_.size() && IsAlpha(input_[pos_])) ++pos_;
  if (IsDurationFunction(input_.substr(start_, pos_ - start_))) {
    return Emit(TokenType::kIdentifier);
  }
  return Fail(absl::StrCat("unexpected character: ", QuotedCharacter(c),
                           ", expected ':'"));
}

Token Lexer::Braces() {
  const char32_t c = Take();
  switch (c) {
    case kEof:
      return Fail("unexpected end of input inside braces");
    case ',':
      return Emit(TokenType::kComma);
    case '"':
    case '\'':
      return String(static_cast<char>(c));
    case '`':
      return RawString();
    case '=':
      return Emit(Accept('~') ? TokenType::kEqualRegex : TokenType::kEqual);
    case '!':
      if (Accept('~')) return Emit(TokenType::kNotRegex);
      if (Accept('=')) return Emit(TokenType::kNotEqual);
      return Fail(absl::StrCat("unexpected character after '!' inside braces: ",
                               QuotedCharacter(Peek())));
    case '{':
      return Fail("unexpected left brace '{'");
    case '}':
      brace_open_ = false;
      return Emit(TokenType::kRightBrace);
    default:
      break;
  }
  if (IsAlpha(c)) return Identifier();
  return Fail(
      absl::StrCat("unexpected character inside braces: ", QuotedCharacter(c)));
}

Token Lexer::Identifier() {
  Skip(kWord);
  return Emit(TokenType::kIdentifier);
}

Token Lexer::KeywordOrIdentifier() {
  pos_ = start_;
  if ((Skip(kName) & kColon) != 0) {
    return Emit(TokenType::kMetricIdentifier);
  }
  return Emit(Keyword(input_.substr(start_, pos_ - start_)));
}

// The keyword that `word` is in this dialect.
TokenType Lexer::Keyword(absl::string_view word) const {
  const TokenType type = KeywordType(word);
  switch (type) {
    case TokenType::kAnchored:
    case TokenType::kSmoothed:
      return dialect_.extended_selectors ? type : TokenType::kIdentifier;
    case TokenType::kLimitRatio:
    case TokenType::kLimitk:
      return dialect_.IsVersion3() ? type : TokenType::kIdentifier;
    case TokenType::kFill:
    case TokenType::kFillLeft:
    case TokenType::kFillRight: {
      // Metrics may be called so.
      const size_t next = input_.find_first_not_of(" \t\n\r", pos_);
      const bool called =
          next != absl::string_view::npos && input_[next] == '(';
      return dialect_.fill_modifiers && called ? type : TokenType::kIdentifier;
    }
    default:
      return type;
  }
}

Token Lexer::String(char quote) {
  while (true) {
    Skip(kQuoted);
    const char32_t c = Take();
    if (c == static_cast<uint8_t>(quote)) return Emit(TokenType::kString);
    if (c == '\\') {
      if (!Escape(quote)) {
        return Token{TokenType::kError, static_cast<int32_t>(start_), {}};
      }
    } else if (c == kReplacement) {
      return Fail("invalid UTF-8 rune");
    } else if (c == kEof || c == '\n') {
      return Fail("unterminated quoted string");
    }
  }
}

// The backslash has been taken. False: an error has been noted.
bool Lexer::Escape(char quote) {
  const auto fail = [this](std::string message) {
    Fail(std::move(message));
    return false;
  };
  const char32_t kind = Take();
  int digits = 0;
  uint32_t base = 16;
  uint32_t highest = 0x10FFFF;
  uint32_t value = 0;
  if (kind == kEof) return fail("escape sequence not terminated");
  if (kind == static_cast<uint8_t>(quote)) return true;
  switch (kind) {
    case 'a':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
    case 'v':
    case '\\':
      return true;
    case 'x':
      digits = 2;
      highest = 255;
      break;
    case 'u':
      digits = 4;
      break;
    case 'U':
      digits = 8;
      break;
    default:
      if (kind < '0' || kind > '7') {
        return fail(absl::StrCat("unknown escape sequence ", CodePoint(kind)));
      }
      digits = 2;
      base = 8;
      highest = 255;
      value = kind - '0';
  }
  for (; digits > 0; --digits) {
    const char32_t c = Take();
    const auto digit = static_cast<uint32_t>(DigitValue(c));
    if (digit >= base) {
      if (c == kEof) return fail("escape sequence not terminated");
      return fail(absl::StrCat("illegal character ", CodePoint(c),
                               " in escape sequence"));
    }
    value = value * base + digit;
  }
  if (value > highest || (value >= 0xD800 && value < 0xE000)) {
    return fail("escape sequence is an invalid Unicode code point");
  }
  return true;
}

Token Lexer::RawString() {
  while (true) {
    Skip(kQuoted);
    const char32_t c = Take();
    if (c == '`') return Emit(TokenType::kString);
    if (c == kReplacement) return Fail("invalid UTF-8 rune");
    if (c == kEof) return Fail("unterminated raw string");
  }
}

// What follows a `[`.
Token Lexer::Bracket() {
  SkipSpaces();
  start_ = pos_;
  if (Number()) return Fail("missing unit character in duration");
  if (RestOfDuration()) return Emit(TokenType::kDuration);
  return Fail(absl::StrCat("bad duration syntax: ",
                           Quoted(input_.substr(start_, pos_ - start_))));
}

Token Lexer::NumberOrDuration() {
  // As most numbers are.
  Skip(kDecimal);
  if (Accept('.')) Skip(kDecimal);
  if (pos_ == input_.size() || (ClassesOf(input_[pos_]) & kWord) == 0) {
    return Emit(TokenType::kNumber);
  }
  pos_ = start_;
  if (Number()) return Emit(TokenType::kNumber);
  if (RestOfDuration()) return Emit(TokenType::kDuration);
  return Fail(absl::StrCat("bad number or duration syntax: ",
                           Quoted(input_.substr(start_, pos_ - start_))));
}

// Takes what may be a number. Whether it is one shows when its value is needed;
// false if a letter follows, as it does in a duration.
bool Lexer::Number() {
  const bool separators = dialect_.IsVersion3();
  const bool hex = Accept('0') && Accept("xX");
  AcceptDigits(hex, separators);
  if (Accept('.')) AcceptDigits(hex, separators);
  if (Accept("eE")) {
    Accept("+-");
    AcceptDigits(false, separators);
  }
  return !IsAlphaNumeric(Peek());
}

// Takes the first unit of a duration and all that follows. Units that are
// wrong, like `hs`, show when the value is needed.
bool Lexer::RestOfDuration() {
  if (!Accept("smhdwy")) return false;
  Accept('s');
  while (Accept("0123456789")) {
    AcceptDigits(false, false);
    if (!Accept("smhdw")) return false;
    Accept('s');
  }
  if (!IsAlphaNumeric(Peek())) return true;
  Take();  // For the message.
  return false;
}

}  // namespace insula::promql
