// Splits templates of Go into tokens.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace insula::rules::internal {

enum class TemplateTokenType {
  kEnd,
  kError,  // TemplateLexer::error() says what is wrong.
  kText,   // Outside of actions.
  kLeftDelimiter,
  kRightDelimiter,

  // Inside.
  kAssign,
  kBool,
  kCharacter,  // A constant: 'x'.
  kDeclare,
  kDot,
  kField,  // With its dot.
  kIdentifier,
  kLeftParen,
  kNumber,
  kOther,  // Any other sign, such as a comma.
  kPipe,
  kRawString,
  kRightParen,
  kSpace,
  kString,
  kVariable,  // With its dollar.

  // Keywords.
  kBlock,
  kBreak,
  kContinue,
  kDefine,
  kElse,
  kEndKeyword,
  kIf,
  kNil,
  kRange,
  kTemplate,
  kWith,
};

struct TemplateToken {
  TemplateTokenType type = TemplateTokenType::kEnd;
  absl::string_view text;
  size_t position = 0;
};

// Makes tokens of `input`, which must outlive it, as text/template does.
// Comments are skipped. Outside of strings and comments only ASCII is taken:
// names in other letters, which Go allows, are an error here.
class TemplateLexer {
 public:
  explicit TemplateLexer(absl::string_view input) : input_(input) {}

  // The next token. After kEnd or kError, the same again.
  TemplateToken Next();

  const std::string& error() const { return error_; }

 private:
  TemplateToken Text();
  TemplateToken LeftDelimiter();
  bool SkipComment();
  TemplateToken InsideAction();
  TemplateToken RightDelimiter();
  TemplateToken Space();
  TemplateToken Sign(char c);
  TemplateToken Name(TemplateTokenType type);
  TemplateToken Number();
  TemplateToken Quoted(char quote, TemplateTokenType type);
  TemplateToken RawString();
  bool ScanNumber();
  void AcceptDigits(absl::string_view digits);
  bool Accept(absl::string_view set);

  bool AtTrimmedRightDelimiter() const;
  bool AtRightDelimiter() const;
  bool AtTerminator() const;
  char Peek() const { return pos_ < input_.size() ? input_[pos_] : '\0'; }
  absl::string_view Rest() const { return input_.substr(pos_); }

  TemplateToken Emit(TemplateTokenType type);
  TemplateToken Fail(std::string message);

  const absl::string_view input_;
  size_t pos_ = 0;
  size_t start_ = 0;
  bool inside_ = false;
  int parens_ = 0;
  bool failed_ = false;
  std::string error_;
};

}  // namespace insula::rules::internal
