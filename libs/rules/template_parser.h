// The grammar of Go's text/template.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/rules/dialect.h"
#include "libs/rules/template_lexer.h"

namespace insula::rules::internal {

// Decides whether a text is a template of an alert, and notes the functions
// that it names. Makes no tree: nothing here runs templates. Lives while it
// runs.
class TemplateParser {
 public:
  TemplateParser(absl::string_view text, const Dialect& dialect);

  absl::Status Run();

  // Those named so far.
  const std::set<std::string>& functions() const { return functions_; }

 private:
  using Type = TemplateTokenType;

  // What a piece of a template was.
  enum class Piece { kBlank, kContent, kElse, kEnd };

  // What an operand was, as far as the grammar asks.
  enum class Operand { kNone, kLiteral, kOther };

  // Each {{define}} and {{block}} has variables and loops of its own.
  struct Scope {
    std::vector<absl::string_view> variables = {"$"};
    int loops = 0;
  };

  bool Tokenize();
  bool ParseTop();
  bool ParseDefinition();
  bool ParseBody(absl::string_view name, absl::string_view context);
  bool ParseList(Piece* end, bool* blank);
  bool ParsePiece(Piece* piece);
  bool ParseAction(Piece* piece);
  bool ParseControl(absl::string_view context);
  bool ParseElse(absl::string_view context);
  bool ParseElseClause(Piece* piece);
  bool ParseLoopExit(absl::string_view word);
  bool ParseTemplateCall();
  bool ParseBlock();
  bool ParseName(absl::string_view context, std::string* name);
  bool ParsePipeline(absl::string_view context, Type end);
  bool ParseDeclarations(absl::string_view context);
  bool ParseCommand(Operand* first);
  bool ParseOperand(Operand* operand);
  bool ParseTerm(Operand* operand);
  bool ParseParentheses();
  bool Define(absl::string_view name, bool blank);

  bool Declare(absl::string_view variable);
  bool IsVariable(absl::string_view name) const;

  const TemplateToken& Peek() const { return tokens_[next_]; }
  const TemplateToken& PeekNonSpace();
  const TemplateToken& Next();
  const TemplateToken& NextNonSpace();
  bool Expect(Type type, absl::string_view context);

  // All return false.
  bool Fail(absl::string_view message);
  bool Unexpected(const TemplateToken& token, absl::string_view context);

  const absl::string_view text_;
  const Dialect dialect_;
  std::vector<TemplateToken> tokens_;
  size_t next_ = 0;
  Scope scope_;
  int depth_ = 0;
  std::map<std::string, bool> definitions_;  // By name, whether blank.
  std::set<std::string> functions_;
  absl::Status error_;
};

}  // namespace insula::rules::internal
