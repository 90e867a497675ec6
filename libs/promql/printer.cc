#include "libs/promql/printer.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/labels/validity.h"
#include "libs/promql/literal.h"
#include "libs/promql/quote.h"

namespace insula::promql {
namespace {

constexpr size_t kUsualBytes = 256;
constexpr size_t kUsualMatchers = 8;

// Prints a tree by a stack of nodes, each with how much of it is done.
class Printer {
 public:
  // With `spans`, notes where each node stands.
  explicit Printer(const Expr& root, Spans* spans = nullptr) : spans_(spans) {
    out_.reserve(kUsualBytes);
    Push(&root);
  }

  std::string Run() {
    while (!stack_.empty()) {
      const Frame frame = stack_.back();
      stack_.pop_back();
      if (spans_ == nullptr) {
        Step(*frame.expr, frame.step);
        continue;
      }
      if (frame.step == kEnd) {
        (*spans_)[frame.expr].end = out_.size();
        continue;
      }
      if (frame.step == 0) {
        (*spans_)[frame.expr].start = out_.size();
        Push(frame.expr, kEnd);
      }
      Step(*frame.expr, frame.step);
    }
    return std::move(out_);
  }

 private:
  struct Frame {
    const Expr* expr;
    size_t step;
  };

  static constexpr size_t kEnd = static_cast<size_t>(-1);

  void Push(const Expr* expr, size_t step = 0) {
    stack_.push_back(Frame{expr, step});
  }
  // Prints `child`, then `expr` from the step after this one.
  void Descend(const Expr* child, const Expr* expr, size_t step) {
    Push(expr, step + 1);
    Push(child);
  }

  void Step(const Expr& expr, size_t step);
  void Step(const Aggregate& expr, size_t step);
  void Step(const Binary& expr, size_t step);
  void Step(const Call& expr, size_t step);
  void Step(const MatrixSelector& expr);
  void Step(const Paren& expr, size_t step);
  void Step(const Subquery& expr, size_t step);

  void AppendSelector(const VectorSelector& expr);
  void AppendExtension(const VectorSelector& expr);
  void AppendModifiers(const Modifiers& modifiers);
  void AppendMatching(const VectorMatching& matching);
  void AppendLabels(const std::vector<std::string>& names);
  void AppendFill(const VectorMatching& matching);
  void AppendDuration(absl::Duration duration,
                      const DurationExpression& expression) {
    absl::StrAppend(&out_,
                    expression.empty() ? DurationText(duration) : expression);
  }

  Spans* const spans_;
  absl::InlinedVector<Frame, 32> stack_;
  std::string out_;
};

// StrAppend() is dear for a few bytes.
void Append(absl::string_view text, std::string* out) {
  out->append(text.data(), text.size());
}

// In quotes if it must be, which only dialects read that can have it.
void AppendLabelName(absl::string_view name, std::string* out) {
  if (labels::IsLegacyLabelName(name)) {
    Append(name, out);
  } else {
    AppendQuoted(name, out);
  }
}

void AppendMatcher(const labels::Matcher& matcher, std::string* out) {
  AppendLabelName(matcher.name(), out);
  Append(labels::MatchOperator(matcher.type()), out);
  AppendQuoted(matcher.value(), out);
}

void AppendNumber(const Number& number, std::string* out) {
  if (!number.duration) return AppendNumberText(number.value, out);
  const absl::Duration duration =
      absl::Milliseconds(std::llround(std::abs(number.value) * 1000));
  absl::StrAppend(out, number.value < 0 ? "-" : "", DurationText(duration));
}

void Printer::AppendLabels(const std::vector<std::string>& names) {
  out_.push_back('(');
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) out_.append(", ");
    AppendLabelName(names[i], &out_);
  }
  out_.push_back(')');
}

void Printer::Step(const Expr& expr, size_t step) {
  switch (expr.kind) {
    case ExprKind::kAggregate:
      return Step(static_cast<const Aggregate&>(expr), step);
    case ExprKind::kBinary:
      return Step(static_cast<const Binary&>(expr), step);
    case ExprKind::kCall:
      return Step(static_cast<const Call&>(expr), step);
    case ExprKind::kMatrixSelector:
      return Step(static_cast<const MatrixSelector&>(expr));
    case ExprKind::kNumber:
      return AppendNumber(static_cast<const Number&>(expr), &out_);
    case ExprKind::kParen:
      return Step(static_cast<const Paren&>(expr), step);
    case ExprKind::kString:
      return AppendQuoted(static_cast<const String&>(expr).value, &out_);
    case ExprKind::kSubquery:
      return Step(static_cast<const Subquery&>(expr), step);
    case ExprKind::kUnary: {
      const auto& unary = static_cast<const Unary&>(expr);
      out_.push_back(unary.negative ? '-' : '+');
      return Push(unary.expr.get());
    }
    case ExprKind::kVectorSelector: {
      const auto& selector = static_cast<const VectorSelector&>(expr);
      AppendSelector(selector);
      AppendExtension(selector);
      return AppendModifiers(selector.modifiers);
    }
  }
  out_.append("?");  // No parser takes it, so that nobody evaluates it.
}

void Printer::Step(const Aggregate& expr, size_t step) {
  if (step == 0) {
    Append(Name(expr.op), &out_);
    if (expr.without || !expr.grouping.empty()) {
      out_.append(expr.without ? " without " : " by ");
      AppendLabels(expr.grouping);
      out_.push_back(' ');
    }
    out_.push_back('(');
    if (expr.parameter != nullptr) {
      return Descend(expr.parameter.get(), &expr, 0);
    }
    return Descend(expr.expr.get(), &expr, 1);
  }
  if (step == 1) {
    out_.append(", ");
    return Descend(expr.expr.get(), &expr, 1);
  }
  out_.push_back(')');
}

void Printer::Step(const Binary& expr, size_t step) {
  if (step == 0) {
    // A sign would take the power as its operand: +(Inf ^ 2).
    if (expr.op == BinaryOp::kPower && expr.lhs->kind == ExprKind::kNumber &&
        std::isinf(static_cast<const Number&>(*expr.lhs).value)) {
      if (spans_ != nullptr) {
        (*spans_)[expr.lhs.get()] = {out_.size(), out_.size() + 3};
      }
      out_.append("Inf");
      return Push(&expr, 1);
    }
    return Descend(expr.lhs.get(), &expr, 0);
  }
  out_.push_back(' ');
  Append(Name(expr.op), &out_);
  if (expr.return_bool) Append(" bool", &out_);
  if (expr.matching.has_value()) AppendMatching(*expr.matching);
  out_.push_back(' ');
  Push(expr.rhs.get());
}

void Printer::AppendMatching(const VectorMatching& matching) {
  const bool grouped = matching.cardinality == Cardinality::kManyToOne ||
                       matching.cardinality == Cardinality::kOneToMany;
  if (matching.labels.empty() && !matching.on && !grouped) {
    return AppendFill(matching);
  }
  out_.append(matching.on ? " on " : " ignoring ");
  AppendLabels(matching.labels);
  if (!grouped) return AppendFill(matching);
  out_.append(matching.cardinality == Cardinality::kManyToOne
                  ? " group_left "
                  : " group_right ");
  AppendLabels(matching.include);
  AppendFill(matching);
}

void Printer::AppendFill(const VectorMatching& matching) {
  const auto append = [this](absl::string_view word,
                             const std::optional<double>& value) {
    if (!value.has_value()) return;
    absl::StrAppend(&out_, " ", word, " (", NumberText(*value), ")");
  };
  const bool same =
      matching.fill_left.has_value() && matching.fill_right.has_value() &&
      NumberText(*matching.fill_left) == NumberText(*matching.fill_right);
  if (same) return append("fill", matching.fill_left);
  append("fill_left", matching.fill_left);
  append("fill_right", matching.fill_right);
}

void Printer::Step(const Call& expr, size_t step) {
  if (step == 0) {
    Append(expr.function->name, &out_);
    out_.push_back('(');
  }
  if (step == expr.args.size()) {
    out_.push_back(')');
    return;
  }
  if (step > 0) out_.append(", ");
  Descend(expr.args[step].get(), &expr, step);
}

void Printer::Step(const MatrixSelector& expr) {
  AppendSelector(expr.vector());
  out_.push_back('[');
  AppendDuration(expr.window, expr.window_expression);
  out_.push_back(']');
  AppendExtension(expr.vector());
  AppendModifiers(expr.vector().modifiers);
}

void Printer::Step(const Paren& expr, size_t step) {
  if (step == 0) {
    out_.push_back('(');
    return Descend(expr.expr.get(), &expr, 0);
  }
  out_.push_back(')');
}

void Printer::Step(const Subquery& expr, size_t step) {
  if (step == 0) return Descend(expr.expr.get(), &expr, 0);
  out_.push_back('[');
  AppendDuration(expr.window, expr.window_expression);
  out_.push_back(':');
  if (expr.step != absl::ZeroDuration() || !expr.step_expression.empty()) {
    AppendDuration(expr.step, expr.step_expression);
  }
  out_.push_back(']');
  AppendModifiers(expr.modifiers);
}

// Puts the texts that `out` has from each of `starts` on, with a comma behind
// each, in order.
void SortTexts(absl::Span<const size_t> starts, std::string* out) {
  const size_t first = starts.front();
  const std::string unsorted = out->substr(first);
  absl::InlinedVector<absl::string_view, kUsualMatchers> texts;
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t end = i + 1 < starts.size() ? starts[i + 1] : out->size();
    texts.push_back(absl::string_view(unsorted).substr(starts[i] - first,
                                                       end - 1 - starts[i]));
  }
  std::sort(texts.begin(), texts.end());
  out->resize(first);
  for (const absl::string_view text : texts) {
    Append(text, out);
    out->push_back(',');
  }
}

// Appends the matchers in braces, sorted by their text, but for those that are
// as `omitted`.
void AppendBraces(const std::vector<labels::Matcher>& matchers,
                  const labels::Matcher* omitted, bool even_if_empty,
                  std::string* out) {
  const size_t begin = out->size();
  out->push_back('{');
  absl::InlinedVector<size_t, kUsualMatchers> starts;
  bool sorted = true;
  for (const labels::Matcher& matcher : matchers) {
    if (omitted != nullptr && (&matcher == omitted || matcher == *omitted)) {
      continue;
    }
    const size_t start = out->size();
    AppendMatcher(matcher, out);
    const absl::string_view text(*out);
    sorted = sorted && (starts.empty() ||
                        text.substr(starts.back(), start - 1 - starts.back()) <=
                            text.substr(start));
    starts.push_back(start);
    out->push_back(',');
  }
  if (!sorted) SortTexts(starts, out);
  if (!starts.empty()) {
    out->back() = '}';
  } else if (even_if_empty) {
    out->push_back('}');
  } else {
    out->resize(begin);
  }
}

void Printer::AppendSelector(const VectorSelector& expr) {
  out_.append(expr.name);
  // The matcher for which the name in front stands.
  const labels::Matcher* named = nullptr;
  for (const labels::Matcher& matcher : expr.matchers) {
    if (!expr.name.empty() && matcher.type() == labels::MatchType::kEqual &&
        matcher.name() == labels::kMetricName && matcher.value() == expr.name) {
      named = &matcher;
    }
  }
  AppendBraces(expr.matchers, named, /*even_if_empty=*/expr.name.empty(),
               &out_);
}

void Printer::AppendExtension(const VectorSelector& expr) {
  if (expr.extension == VectorSelector::Extension::kAnchored) {
    out_.append(" anchored");
  } else if (expr.extension == VectorSelector::Extension::kSmoothed) {
    out_.append(" smoothed");
  }
}

void Printer::AppendModifiers(const Modifiers& modifiers) {
  switch (modifiers.at) {
    case Modifiers::At::kNone:
      break;
    case Modifiers::At::kTime: {
      const int64_t ms = absl::ToUnixMillis(modifiers.time);
      absl::StrAppendFormat(&out_, " @ %s%d.%03d", ms < 0 ? "-" : "",
                            std::abs(ms) / 1000, std::abs(ms) % 1000);
      break;
    }
    case Modifiers::At::kStart:
      out_.append(" @ start()");
      break;
    case Modifiers::At::kEnd:
      out_.append(" @ end()");
      break;
  }
  if (!modifiers.offset_expression.empty()) {
    absl::StrAppend(&out_, " offset ", modifiers.offset_expression);
  } else if (modifiers.offset > absl::ZeroDuration()) {
    absl::StrAppend(&out_, " offset ", DurationText(modifiers.offset));
  } else if (modifiers.offset < absl::ZeroDuration()) {
    absl::StrAppend(&out_, " offset -", DurationText(-modifiers.offset));
  }
}

}  // namespace

std::string Print(const Expr& expr) { return Printer(expr).Run(); }

std::string PrintWithSpans(const Expr& expr, Spans* spans) {
  return Printer(expr, spans).Run();
}

std::string PrintSelector(const std::vector<labels::Matcher>& matchers) {
  std::string text;
  AppendBraces(matchers, nullptr, /*even_if_empty=*/true, &text);
  return text;
}

}  // namespace insula::promql
