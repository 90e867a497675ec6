#include "libs/rules/template_lexer.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/rules/reporter.h"

namespace insula::rules::internal {
namespace {

using Type = TemplateTokenType;

constexpr absl::string_view kLeft = "{{";
constexpr absl::string_view kRight = "}}";
constexpr absl::string_view kTrimmedRight = "-}}";
constexpr absl::string_view kSpaces = " \t\r\n";

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

bool IsNameCharacter(char c) {
  return c == '_' || absl::ascii_isalnum(static_cast<unsigned char>(c));
}

constexpr std::pair<absl::string_view, Type> kWords[] = {
    {"block", Type::kBlock},       {"break", Type::kBreak},
    {"continue", Type::kContinue}, {"define", Type::kDefine},
    {"else", Type::kElse},         {"end", Type::kEndKeyword},
    {"false", Type::kBool},        {"if", Type::kIf},
    {"nil", Type::kNil},           {"range", Type::kRange},
    {"template", Type::kTemplate}, {"true", Type::kBool},
    {"with", Type::kWith}};

Type TypeOfWord(absl::string_view word) {
  for (const auto& [text, type] : kWords) {
    if (text == word) return type;
  }
  return Type::kIdentifier;
}

}  // namespace

TemplateToken TemplateLexer::Emit(Type type) {
  const TemplateToken token{type, input_.substr(start_, pos_ - start_), start_};
  start_ = pos_;
  return token;
}

TemplateToken TemplateLexer::Fail(std::string message) {
  failed_ = true;
  error_ = std::move(message);
  return {Type::kError, "", start_};
}

TemplateToken TemplateLexer::Next() {
  if (failed_) return {Type::kError, "", start_};
  return inside_ ? InsideAction() : Text();
}

TemplateToken TemplateLexer::Text() {
  while (true) {
    start_ = pos_;
    const size_t left = input_.find(kLeft, pos_);
    if (left == absl::string_view::npos) {
      pos_ = input_.size();
      return Emit(start_ == pos_ ? Type::kEnd : Type::kText);
    }
    if (left > pos_) {
      pos_ = left;
      return Emit(Type::kText);
    }
    const bool comment =
        absl::StartsWith(input_.substr(left), "{{/*") ||
        (absl::StartsWith(input_.substr(left), "{{-") &&
         left + 4 < input_.size() && IsSpace(input_[left + 3]) &&
         absl::StartsWith(input_.substr(left + 4), "/*"));
    if (!comment) return LeftDelimiter();
    if (!SkipComment()) return {Type::kError, "", start_};
  }
}

// Text keeps the spaces that trim markers take from it: what it says does not
// matter here but for being only spaces, and so it is the same.
TemplateToken TemplateLexer::LeftDelimiter() {
  pos_ += kLeft.size();
  const TemplateToken token = Emit(Type::kLeftDelimiter);
  if (Peek() == '-' && pos_ + 1 < input_.size() && IsSpace(input_[pos_ + 1])) {
    pos_ += 2;
    start_ = pos_;
  }
  inside_ = true;
  parens_ = 0;
  return token;
}

bool TemplateLexer::SkipComment() {
  pos_ = input_.find("/*", pos_) + 2;
  const size_t end = input_.find("*/", pos_);
  if (end == absl::string_view::npos) {
    Fail("unclosed comment");
    return false;
  }
  pos_ = end + 2;
  if (!AtRightDelimiter()) {
    Fail("comment ends before closing delimiter");
    return false;
  }
  if (AtTrimmedRightDelimiter()) pos_ += 2;
  pos_ += kRight.size();
  return true;
}

bool TemplateLexer::AtTrimmedRightDelimiter() const {
  return pos_ < input_.size() && IsSpace(input_[pos_]) &&
         absl::StartsWith(input_.substr(pos_ + 1), kTrimmedRight);
}

bool TemplateLexer::AtRightDelimiter() const {
  return AtTrimmedRightDelimiter() || absl::StartsWith(Rest(), kRight);
}

bool TemplateLexer::AtTerminator() const {
  if (pos_ == input_.size() || IsSpace(Peek())) return true;
  return absl::StrContains(".,|:)(", Peek()) ||
         absl::StartsWith(Rest(), kRight);
}

TemplateToken TemplateLexer::RightDelimiter() {
  if (AtTrimmedRightDelimiter()) pos_ += 2;
  start_ = pos_;
  pos_ += kRight.size();
  inside_ = false;
  return Emit(Type::kRightDelimiter);
}

TemplateToken TemplateLexer::InsideAction() {
  if (AtRightDelimiter()) {
    if (parens_ > 0) return Fail("unclosed left paren");
    return RightDelimiter();
  }
  if (pos_ == input_.size()) return Fail("unclosed action");
  const char c = input_[pos_];
  if (IsSpace(c)) return Space();
  if (static_cast<unsigned char>(c) >= 0x80) {
    return Fail(
        "letters outside of quotes must be of a-z and A-Z in a template");
  }
  const bool digit_follows =
      pos_ + 1 < input_.size() &&
      absl::ascii_isdigit(static_cast<unsigned char>(input_[pos_ + 1]));
  if (c == '.' && !digit_follows) return Name(Type::kField);
  if (c == '$') return Name(Type::kVariable);
  if (c == '.' || c == '+' || c == '-' ||
      absl::ascii_isdigit(static_cast<unsigned char>(c))) {
    return Number();
  }
  if (IsNameCharacter(c)) return Name(Type::kIdentifier);
  if (c == '"') return Quoted('"', Type::kString);
  if (c == '\'') return Quoted('\'', Type::kCharacter);
  if (c == '`') return RawString();
  ++pos_;
  return Sign(c);
}

TemplateToken TemplateLexer::Space() {
  while (IsSpace(Peek())) ++pos_;
  // The last one may belong to a trim marker, then it is not a space.
  if (absl::StartsWith(Rest(), kTrimmedRight)) {
    --pos_;
    if (pos_ == start_) return InsideAction();
  }
  return Emit(Type::kSpace);
}

TemplateToken TemplateLexer::Sign(char c) {
  switch (c) {
    case '=':
      return Emit(Type::kAssign);
    case ':':
      if (!Accept("=")) return Fail("expected :=");
      return Emit(Type::kDeclare);
    case '|':
      return Emit(Type::kPipe);
    case '(':
      ++parens_;
      return Emit(Type::kLeftParen);
    case ')':
      if (--parens_ < 0) return Fail("unexpected right paren");
      return Emit(Type::kRightParen);
    default:
      if (absl::ascii_isprint(static_cast<unsigned char>(c))) {
        return Emit(Type::kOther);
      }
      return Fail("unrecognized character in action");
  }
}

// A name, with the dot or dollar before it, or that sign alone.
TemplateToken TemplateLexer::Name(Type type) {
  if (type != Type::kIdentifier) ++pos_;
  while (IsNameCharacter(Peek())) ++pos_;
  if (!AtTerminator()) {
    return Fail(absl::StrCat("bad character behind ",
                             Show(input_.substr(start_, pos_ - start_))));
  }
  if (type == Type::kIdentifier) {
    return Emit(TypeOfWord(input_.substr(start_, pos_ - start_)));
  }
  if (type == Type::kField && pos_ == start_ + 1) return Emit(Type::kDot);
  return Emit(type);
}

bool TemplateLexer::Accept(absl::string_view set) {
  if (pos_ == input_.size() || !absl::StrContains(set, input_[pos_])) {
    return false;
  }
  ++pos_;
  return true;
}

void TemplateLexer::AcceptDigits(absl::string_view digits) {
  while (Accept(digits)) {
  }
}

bool TemplateLexer::ScanNumber() {
  constexpr absl::string_view kDecimal = "0123456789_";
  Accept("+-");
  absl::string_view digits = kDecimal;
  bool hex = false;
  if (Accept("0")) {
    if (Accept("xX")) {
      digits = "0123456789abcdefABCDEF_";
      hex = true;
    } else if (Accept("oO")) {
      digits = "01234567_";
    } else if (Accept("bB")) {
      digits = "01_";
    }
  }
  AcceptDigits(digits);
  if (Accept(".")) AcceptDigits(digits);
  if ((digits == kDecimal && Accept("eE")) || (hex && Accept("pP"))) {
    Accept("+-");
    AcceptDigits(kDecimal);
  }
  Accept("i");
  return !IsNameCharacter(Peek());
}

TemplateToken TemplateLexer::Number() {
  const bool good = ScanNumber();
  const absl::string_view text = input_.substr(start_, pos_ - start_);
  // A complex number (`1+2i`) is one for Go, but nothing takes one.
  if (!good || Peek() == '+' || Peek() == '-') {
    return Fail(absl::StrCat("bad number syntax: ", Show(text)));
  }
  return Emit(Type::kNumber);
}

TemplateToken TemplateLexer::Quoted(char quote, Type type) {
  const absl::string_view what =
      quote == '"' ? "quoted string" : "character constant";
  for (++pos_; pos_ < input_.size() && input_[pos_] != '\n'; ++pos_) {
    if (input_[pos_] == quote) {
      ++pos_;
      return Emit(type);
    }
    if (input_[pos_] == '\\') {
      ++pos_;
      if (Peek() == '\n') break;
    }
  }
  return Fail(absl::StrCat("unterminated ", what));
}

TemplateToken TemplateLexer::RawString() {
  const size_t end = input_.find('`', pos_ + 1);
  if (end == absl::string_view::npos) {
    return Fail("unterminated raw quoted string");
  }
  pos_ = end + 1;
  return Emit(Type::kRawString);
}

}  // namespace insula::rules::internal
