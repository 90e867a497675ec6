#include "libs/promql/tree_json.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/labels/matcher.h"
#include "libs/promql/literal.h"
#include "libs/promql/quote.h"
#include "libs/promql/value_type.h"

namespace insula::promql {
namespace {

void AppendText(absl::string_view text, std::string* out) {
  out->push_back('"');
  while (!text.empty()) {
    char32_t c = 0;
    const size_t width = DecodeCharacter(text, &c);
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(static_cast<char>(c));
    } else if (c < 0x20) {
      absl::StrAppendFormat(out, "\\u%04x", static_cast<unsigned>(c));
    } else if (c == kReplacement) {
      out->append("\\ufffd");
    } else {
      absl::StrAppend(out, text.substr(0, width));
    }
    text.remove_prefix(width);
  }
  out->push_back('"');
}

std::string Text(absl::string_view text) {
  std::string out;
  AppendText(text, &out);
  return out;
}

absl::string_view Bool(bool value) { return value ? "true" : "false"; }

std::string TextList(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) {
    if (out.size() > 1) out.push_back(',');
    AppendText(text, &out);
  }
  return out + "]";
}

// Go's 'f' form: without an exponent.
std::string PlainNumber(double value) {
  if (!std::isfinite(value)) return NumberText(value);
  std::string text = NumberText(value);
  if (text.find('e') == std::string::npos) return text;
  // As many digits as it takes to read it back.
  for (int digits = 0; digits <= 340; ++digits) {
    text = absl::StrFormat("%.*f", digits, value);
    if (const auto read = ParseNumber(text); read.ok() && *read == value) break;
  }
  return text;
}

// JSON has no infinities; Prometheus cannot answer then, and null stands here.
std::string Optional(const std::optional<double>& value) {
  if (!value.has_value() || !std::isfinite(*value)) return "null";
  return PlainNumber(*value);
}

absl::string_view CardinalityName(Cardinality cardinality) {
  switch (cardinality) {
    case Cardinality::kOneToOne:
      return "one-to-one";
    case Cardinality::kManyToOne:
      return "many-to-one";
    case Cardinality::kOneToMany:
      return "one-to-many";
    case Cardinality::kManyToMany:
      return "many-to-many";
  }
  return "unknown";
}

std::string Matching(const std::optional<VectorMatching>& matching) {
  if (!matching.has_value()) return "null";
  return absl::StrCat(
      R"({"card":")", CardinalityName(matching->cardinality),
      R"(","fillValues":{"lhs":)", Optional(matching->fill_left), R"(,"rhs":)",
      Optional(matching->fill_right), R"(},"include":)",
      TextList(matching->include), R"(,"labels":)", TextList(matching->labels),
      R"(,"on":)", Bool(matching->on), "}");
}

std::string Matchers(const std::vector<labels::Matcher>& matchers) {
  std::string out = "[";
  for (const labels::Matcher& matcher : matchers) {
    absl::StrAppend(&out, out.size() > 1 ? "," : "", R"({"name":)",
                    Text(matcher.name()), R"(,"type":")",
                    labels::MatchOperator(matcher.type()), R"(","value":)",
                    Text(matcher.value()), "}");
  }
  return out + "]";
}

std::string StartOrEnd(const Modifiers& modifiers) {
  if (modifiers.at == Modifiers::At::kStart) return "\"start\"";
  if (modifiers.at == Modifiers::At::kEnd) return "\"end\"";
  return "null";
}

std::string Timestamp(const Modifiers& modifiers) {
  if (modifiers.at != Modifiers::At::kTime) return "null";
  return absl::StrCat(absl::ToUnixMillis(modifiers.time));
}

int64_t Milliseconds(absl::Duration duration) {
  return absl::ToInt64Milliseconds(duration);
}

// A selector, or with `window` a range.
std::string Selector(const VectorSelector& selector,
                     const absl::Duration* window) {
  using Extension = VectorSelector::Extension;
  return absl::StrCat(
      R"({"anchored":)", Bool(selector.extension == Extension::kAnchored),
      R"(,"matchers":)", Matchers(selector.matchers), R"(,"name":)",
      Text(selector.name), R"(,"offset":)",
      Milliseconds(selector.modifiers.offset),
      window == nullptr ? ""
                        : absl::StrCat(R"(,"range":)", Milliseconds(*window)),
      R"(,"smoothed":)", Bool(selector.extension == Extension::kSmoothed),
      R"(,"startOrEnd":)", StartOrEnd(selector.modifiers), R"(,"timestamp":)",
      Timestamp(selector.modifiers), R"(,"type":")",
      window == nullptr ? "vectorSelector" : "matrixSelector", "\"}");
}

std::string FunctionJson(const Function& function) {
  std::vector<std::string> types;
  for (const ValueType type : function.arg_types()) {
    types.emplace_back(Name(type));
  }
  return absl::StrCat(R"({"argTypes":)", TextList(types), R"(,"name":)",
                      Text(function.name), R"(,"returnType":")",
                      Name(function.return_type), R"(","variadic":)",
                      function.variadic, "}");
}

// Works on a stack of nodes and of texts between them.
class Writer {
 public:
  std::string Run(const Expr& root) {
    stack_.push_back({&root, ""});
    while (!stack_.empty()) {
      const Piece piece = std::move(stack_.back());
      stack_.pop_back();
      out_.append(piece.text);
      if (piece.expr != nullptr) Write(*piece.expr);
    }
    return std::move(out_);
  }

 private:
  // The text, then the node, which may be null.
  struct Piece {
    const Expr* expr;
    std::string text;
  };

  // In the order in which they are written.
  void Push(std::vector<Piece> pieces) {
    for (size_t i = pieces.size(); i > 0; --i) {
      stack_.push_back(std::move(pieces[i - 1]));
    }
  }

  void Write(const Expr& expr);
  void Write(const Aggregate& node);
  void Write(const Binary& node);
  void Write(const Call& node);
  void Write(const Subquery& node);

  std::vector<Piece> stack_;
  std::string out_;
};

void Writer::Write(const Aggregate& node) {
  const std::string tail = absl::StrCat(R"(,"type":"aggregation","without":)",
                                        Bool(node.without), "}");
  Push({{node.expr.get(), R"({"expr":)"},
        {node.parameter.get(),
         absl::StrCat(R"(,"grouping":)", TextList(node.grouping), R"(,"op":")",
                      Name(node.op), R"(","param":)",
                      node.parameter == nullptr ? "null" : "")},
        {nullptr, tail}});
}

void Writer::Write(const Binary& node) {
  Push({{node.lhs.get(),
         absl::StrCat(R"({"bool":)", Bool(node.return_bool), R"(,"lhs":)")},
        {node.rhs.get(),
         absl::StrCat(R"(,"matching":)", Matching(node.matching), R"(,"op":")",
                      Name(node.op), R"(","rhs":)")},
        {nullptr, R"(,"type":"binaryExpr"})"}});
}

void Writer::Write(const Call& node) {
  std::vector<Piece> pieces = {{nullptr, R"({"args":[)"}};
  for (size_t i = 0; i < node.args.size(); ++i) {
    pieces.push_back({node.args[i].get(), i > 0 ? "," : ""});
  }
  pieces.push_back(
      {nullptr, absl::StrCat(R"(],"func":)", FunctionJson(*node.function),
                             R"(,"type":"call"})")});
  Push(std::move(pieces));
}

void Writer::Write(const Subquery& node) {
  Push(
      {{node.expr.get(), R"({"alignEvalTime":false,"expr":)"},
       {nullptr,
        absl::StrCat(R"(,"offset":)", Milliseconds(node.modifiers.offset),
                     R"(,"range":)", Milliseconds(node.window),
                     R"(,"startOrEnd":)", StartOrEnd(node.modifiers),
                     R"(,"step":)", Milliseconds(node.step), R"(,"timestamp":)",
                     Timestamp(node.modifiers), R"(,"type":"subquery"})")}});
}

void Writer::Write(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kAggregate:
      return Write(static_cast<const Aggregate&>(expr));
    case ExprKind::kBinary:
      return Write(static_cast<const Binary&>(expr));
    case ExprKind::kCall:
      return Write(static_cast<const Call&>(expr));
    case ExprKind::kMatrixSelector: {
      const auto& node = static_cast<const MatrixSelector&>(expr);
      out_.append(Selector(node.vector(), &node.window));
      return;
    }
    case ExprKind::kNumber:
      absl::StrAppend(&out_, R"({"type":"numberLiteral","val":")",
                      PlainNumber(static_cast<const Number&>(expr).value),
                      "\"}");
      return;
    case ExprKind::kParen:
      return Push({{static_cast<const Paren&>(expr).expr.get(), R"({"expr":)"},
                   {nullptr, R"(,"type":"parenExpr"})"}});
    case ExprKind::kString:
      absl::StrAppend(&out_, R"({"type":"stringLiteral","val":)",
                      Text(static_cast<const String&>(expr).value), "}");
      return;
    case ExprKind::kSubquery:
      return Write(static_cast<const Subquery&>(expr));
    case ExprKind::kUnary: {
      const auto& node = static_cast<const Unary&>(expr);
      return Push(
          {{node.expr.get(), R"({"expr":)"},
           {nullptr, absl::StrCat(R"(,"op":")", node.negative ? "-" : "+",
                                  R"(","type":"unaryExpr"})")}});
    }
    case ExprKind::kVectorSelector:
      out_.append(Selector(static_cast<const VectorSelector&>(expr), nullptr));
      return;
  }
  out_.append("null");
}

}  // namespace

std::string TreeJson(const Expr& expr) { return Writer().Run(expr); }

}  // namespace insula::promql
