#include "libs/rules/template_parser.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/promql/quote.h"
#include "libs/rules/reporter.h"
#include "libs/rules/template_functions.h"
#include "libs/rules/template_literal.h"

namespace insula::rules::internal {
namespace {

constexpr int kMaxDepth = 100;
constexpr size_t kMaxTokens = 100000;
constexpr size_t kMaxVariables = 1000;  // At a time; they are searched.

// What alerts declare before the text: {{$labels := .Labels}} and so on.
constexpr absl::string_view kDeclared[] = {"$labels", "$externalLabels",
                                           "$externalURL", "$value"};

// The names that alerts have as templates.
constexpr absl::string_view kAlertTemplate = "__alert_";

std::string Show(const TemplateToken& token) {
  if (token.type == TemplateTokenType::kEnd) return "end of the template";
  return promql::Quoted(Excerpt(token.text, 40));
}

}  // namespace

TemplateParser::TemplateParser(absl::string_view text, const Dialect& dialect)
    : text_(text), dialect_(dialect) {
  scope_.variables.insert(scope_.variables.end(), std::begin(kDeclared),
                          std::end(kDeclared));
}

absl::Status TemplateParser::Run() {
  if (Tokenize()) ParseTop();
  return error_;
}

bool TemplateParser::Fail(absl::string_view message) {
  if (!error_.ok()) return false;
  const size_t token = next_ > 0 ? next_ - 1 : 0;
  const absl::string_view before =
      text_.substr(0, tokens_.empty() ? 0 : tokens_[token].position);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t start = before.rfind('\n');
  const size_t column =
      before.size() - (start == absl::string_view::npos ? 0 : start + 1) + 1;
  error_ = absl::InvalidArgumentError(
      absl::StrCat("template: ", line, ":", column, ": ", message));
  return false;
}

bool TemplateParser::Unexpected(const TemplateToken& token,
                                absl::string_view context) {
  return Fail(absl::StrCat("unexpected ", Show(token), " in ", context));
}

bool TemplateParser::Tokenize() {
  TemplateLexer lexer(text_);
  do {
    if (tokens_.size() >= kMaxTokens) return Fail("too long");
    tokens_.push_back(lexer.Next());
  } while (tokens_.back().type != Type::kEnd &&
           tokens_.back().type != Type::kError);
  if (tokens_.back().type == Type::kEnd) return true;
  next_ = tokens_.size();
  return Fail(lexer.error());
}

const TemplateToken& TemplateParser::Next() {
  const TemplateToken& token = tokens_[next_];
  if (token.type != Type::kEnd) ++next_;
  return token;
}

const TemplateToken& TemplateParser::PeekNonSpace() {
  while (Peek().type == Type::kSpace) Next();
  return Peek();
}

const TemplateToken& TemplateParser::NextNonSpace() {
  PeekNonSpace();
  return Next();
}

bool TemplateParser::Expect(Type type, absl::string_view context) {
  const TemplateToken& token = NextNonSpace();
  return token.type == type || Unexpected(token, context);
}

// Definitions stand only here, not inside of other blocks.
bool TemplateParser::ParseTop() {
  while (Peek().type != Type::kEnd) {
    const size_t start = next_;
    if (Next().type == Type::kLeftDelimiter &&
        NextNonSpace().type == Type::kDefine) {
      if (!ParseDefinition()) return false;
      continue;
    }
    next_ = start;
    Piece piece = Piece::kBlank;
    if (!ParsePiece(&piece)) return false;
    if (piece == Piece::kEnd) return Fail("unexpected {{end}}");
    if (piece == Piece::kElse) return Fail("unexpected {{else}}");
  }
  return true;
}

bool TemplateParser::ParseName(absl::string_view context, std::string* name) {
  const TemplateToken& token = NextNonSpace();
  if (token.type != Type::kString && token.type != Type::kRawString) {
    return Unexpected(token, context);
  }
  if (!IsTemplateString(token.text)) return Fail("invalid syntax of a string");
  *name = promql::Unquote(token.text);
  return true;
}

bool TemplateParser::ParseDefinition() {
  constexpr absl::string_view kContext = "define clause";
  std::string name;
  return ParseName(kContext, &name) &&
         Expect(Type::kRightDelimiter, kContext) && ParseBody(name, kContext);
}

// What {{define}} and {{block}} enclose.
bool TemplateParser::ParseBody(absl::string_view name,
                               absl::string_view context) {
  const Scope outer = std::exchange(scope_, Scope());
  Piece end = Piece::kBlank;
  bool blank = true;
  if (!ParseList(&end, &blank)) return false;
  if (end != Piece::kEnd) {
    return Fail(absl::StrCat("unexpected {{else}} in ", context));
  }
  scope_ = outer;
  return Define(name, blank);
}

bool TemplateParser::Define(absl::string_view name, bool blank) {
  if (absl::StartsWith(name, kAlertTemplate)) {
    return Fail(absl::StrCat("the names ", kAlertTemplate,
                             "* are those of alerts; choose another"));
  }
  bool& known_blank =
      definitions_.try_emplace(std::string(name), true).first->second;
  if (!known_blank && !blank) {
    return Fail(absl::StrCat("multiple definition of template ", Show(name)));
  }
  known_blank = known_blank && blank;
  return true;
}

// Pieces up to {{end}} or {{else}}.
bool TemplateParser::ParseList(Piece* end, bool* blank) {
  if (depth_ >= kMaxDepth) return Fail("blocks nest too deep");
  ++depth_;
  while (PeekNonSpace().type != Type::kEnd) {
    Piece piece = Piece::kBlank;
    if (!ParsePiece(&piece)) return false;
    if (piece == Piece::kEnd || piece == Piece::kElse) {
      *end = piece;
      --depth_;
      return true;
    }
    if (piece == Piece::kContent) *blank = false;
  }
  return Fail("unexpected EOF; an {{end}} is missing");
}

bool TemplateParser::ParsePiece(Piece* piece) {
  const TemplateToken& token = NextNonSpace();
  switch (token.type) {
    case Type::kText: {
      const bool spaces = absl::StripAsciiWhitespace(token.text).empty();
      *piece = spaces ? Piece::kBlank : Piece::kContent;
      return true;
    }
    case Type::kLeftDelimiter:
      *piece = Piece::kContent;
      return ParseAction(piece);
    default:
      return Unexpected(token, "input");
  }
}

bool TemplateParser::ParseAction(Piece* piece) {
  const size_t start = next_;
  switch (NextNonSpace().type) {
    case Type::kBlock:
      return ParseBlock();
    case Type::kBreak:
      return ParseLoopExit("{{break}}");
    case Type::kContinue:
      return ParseLoopExit("{{continue}}");
    case Type::kElse:
      return ParseElseClause(piece);
    case Type::kEndKeyword:
      *piece = Piece::kEnd;
      return Expect(Type::kRightDelimiter, "end");
    case Type::kIf:
      return ParseControl("if");
    case Type::kRange:
      return ParseControl("range");
    case Type::kTemplate:
      return ParseTemplateCall();
    case Type::kWith:
      return ParseControl("with");
    default:
      next_ = start;
      return ParsePipeline("command", Type::kRightDelimiter);
  }
}

// `{{else if` stays before its second word.
bool TemplateParser::ParseElseClause(Piece* piece) {
  *piece = Piece::kElse;
  const Type type = PeekNonSpace().type;
  if (type == Type::kIf) return true;
  if (type == Type::kWith && dialect_.newer_templates) return true;
  return Expect(Type::kRightDelimiter, "else");
}

bool TemplateParser::ParseLoopExit(absl::string_view word) {
  if (!Expect(Type::kRightDelimiter, word)) return false;
  return scope_.loops > 0 || Fail(absl::StrCat(word, " outside {{range}}"));
}

bool TemplateParser::ParseControl(absl::string_view context) {
  const size_t variables = scope_.variables.size();
  const int loops = scope_.loops;
  if (!ParsePipeline(context, Type::kRightDelimiter)) return false;
  if (context == "range") ++scope_.loops;
  Piece end = Piece::kBlank;
  bool blank = true;
  if (!ParseList(&end, &blank)) return false;
  scope_.loops = loops;
  if (end == Piece::kElse && !ParseElse(context)) return false;
  scope_.variables.resize(variables);
  return true;
}

bool TemplateParser::ParseElse(absl::string_view context) {
  const Type type = Peek().type;
  if ((context == "if" && type == Type::kIf) ||
      (context == "with" && type == Type::kWith)) {
    Next();
    // It shares its {{end}} with this one.
    if (depth_ >= kMaxDepth) return Fail("blocks nest too deep");
    ++depth_;
    if (!ParseControl(context)) return false;
    --depth_;
    return true;
  }
  Piece end = Piece::kBlank;
  bool blank = true;
  if (!ParseList(&end, &blank)) return false;
  return end == Piece::kEnd || Fail("expected end; found {{else}}");
}

bool TemplateParser::ParseTemplateCall() {
  constexpr absl::string_view kContext = "template clause";
  std::string name;
  if (!ParseName(kContext, &name)) return false;
  if (PeekNonSpace().type == Type::kRightDelimiter) {
    Next();
    return true;
  }
  return ParsePipeline(kContext, Type::kRightDelimiter);
}

bool TemplateParser::ParseBlock() {
  constexpr absl::string_view kContext = "block clause";
  std::string name;
  return ParseName(kContext, &name) &&
         ParsePipeline(kContext, Type::kRightDelimiter) &&
         ParseBody(name, kContext);
}

// `$x :=`, `$x =`, in a range `$x, $y :=`; or nothing.
bool TemplateParser::ParseDeclarations(absl::string_view context) {
  for (int count = 1; PeekNonSpace().type == Type::kVariable; ++count) {
    const size_t start = next_;
    const absl::string_view variable = Next().text;
    const TemplateToken& follows = PeekNonSpace();
    if (follows.type == Type::kAssign || follows.type == Type::kDeclare) {
      Next();
      return Declare(variable);
    }
    if (follows.type != Type::kOther || follows.text != ",") {
      next_ = start;
      return true;
    }
    Next();
    if (!Declare(variable)) return false;
    if (context != "range" || count > 1) {
      return Fail(absl::StrCat("too many declarations in ", context));
    }
    const Type type = PeekNonSpace().type;
    if (type != Type::kVariable && type != Type::kRightDelimiter &&
        type != Type::kRightParen) {
      return Fail("range can only initialize variables");
    }
  }
  return true;
}

bool TemplateParser::ParsePipeline(absl::string_view context, Type end) {
  if (!ParseDeclarations(context)) return false;
  for (int stage = 1;; ++stage) {
    if (PeekNonSpace().type == end) {
      Next();
      return stage > 1 || Fail(absl::StrCat("missing value for ", context));
    }
    Operand first = Operand::kNone;
    if (!ParseCommand(&first)) return false;
    if (first == Operand::kNone) return Unexpected(NextNonSpace(), context);
    if (first == Operand::kLiteral && stage > 1) {
      return Fail(
          absl::StrCat("non executable command in pipeline stage ", stage));
    }
  }
}

// Operands up to a pipe, which is consumed, or to a delimiter or parenthesis,
// which is not. `*first` is kNone if there is no operand.
bool TemplateParser::ParseCommand(Operand* first) {
  while (true) {
    PeekNonSpace();
    Operand operand = Operand::kNone;
    if (!ParseOperand(&operand)) return false;
    if (*first == Operand::kNone) *first = operand;
    if (*first == Operand::kNone) return true;
    switch (Peek().type) {
      case Type::kSpace:
        continue;
      case Type::kRightDelimiter:
      case Type::kRightParen:
        return true;
      case Type::kPipe:
        Next();
        return true;
      default:
        return Unexpected(Next(), "operand");
    }
  }
}

bool TemplateParser::ParseOperand(Operand* operand) {
  if (!ParseTerm(operand)) return false;
  if (*operand == Operand::kNone || Peek().type != Type::kField) return true;
  if (*operand == Operand::kLiteral) return Fail("unexpected . after a value");
  while (Peek().type == Type::kField) Next();
  return true;
}

bool TemplateParser::ParseTerm(Operand* operand) {
  const TemplateToken& token = Peek();
  *operand = Operand::kOther;
  switch (token.type) {
    case Type::kIdentifier:
      Next();
      functions_.insert(std::string(Excerpt(token.text)));
      return IsTemplateFunction(token.text, dialect_) ||
             Fail(absl::StrCat("function ", Show(token.text), " not defined"));
    case Type::kVariable:
      Next();
      return IsVariable(token.text) ||
             Fail(absl::StrCat("undefined variable ", Show(token.text)));
    case Type::kField:
      Next();
      return true;
    case Type::kLeftParen:
      return ParseParentheses();
    case Type::kBool:
    case Type::kDot:
    case Type::kNil:
      break;
    case Type::kCharacter:
      if (!IsTemplateCharacter(token.text)) {
        Next();
        return Fail("malformed character constant");
      }
      break;
    case Type::kNumber:
      if (!IsTemplateNumber(token.text)) {
        Next();
        return Fail(absl::StrCat("illegal number syntax: ", Show(token)));
      }
      break;
    case Type::kRawString:
    case Type::kString:
      if (!IsTemplateString(token.text)) {
        Next();
        return Fail("invalid syntax of a string");
      }
      break;
    default:
      *operand = Operand::kNone;
      return true;
  }
  *operand = Operand::kLiteral;
  Next();
  return true;
}

bool TemplateParser::ParseParentheses() {
  if (depth_ >= kMaxDepth) return Fail("parentheses nest too deep");
  ++depth_;
  Next();
  if (!ParsePipeline("parenthesized pipeline", Type::kRightParen)) return false;
  --depth_;
  return true;
}

bool TemplateParser::Declare(absl::string_view variable) {
  if (scope_.variables.size() >= kMaxVariables) {
    return Fail("too many variables");
  }
  scope_.variables.push_back(variable);
  return true;
}

bool TemplateParser::IsVariable(absl::string_view name) const {
  return std::find(scope_.variables.begin(), scope_.variables.end(), name) !=
         scope_.variables.end();
}

}  // namespace insula::rules::internal
