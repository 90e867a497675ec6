#include "libs/promql/pretty.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/promql/printer.h"

namespace insula::promql {
namespace {

constexpr size_t kMaxLine = 100;

// Works on a stack of nodes, each with how much of it is done, and takes their
// pieces from the text on one line.
class PrettyPrinter {
 public:
  PrettyPrinter(const Expr& root, size_t max_bytes) : max_bytes_(max_bytes) {
    text_ = PrintWithSpans(root, &spans_);
    Push(root, 0, 0);
  }

  absl::StatusOr<std::string> Run() {
    while (!stack_.empty()) {
      const Frame frame = stack_.back();
      stack_.pop_back();
      Step(*frame.expr, frame.level, frame.step);
      if (out_.size() > max_bytes_) {
        return absl::InvalidArgumentError(
            absl::StrCat("the formatted query has more than the ", max_bytes_,
                         " bytes allowed; shorten it"));
      }
    }
    return std::move(out_);
  }

 private:
  struct Frame {
    const Expr* expr;
    size_t level;
    size_t step;
  };

  void Push(const Expr& expr, size_t level, size_t step) {
    stack_.push_back({&expr, level, step});
  }
  // Writes `child`, then `expr` from `step` on.
  void Descend(const Expr& child, size_t child_level, const Expr& expr,
               size_t level, size_t step) {
    Push(expr, level, step);
    Push(child, child_level, 0);
  }

  Span SpanOf(const Expr& expr) const { return spans_.at(&expr); }
  absl::string_view Piece(size_t start, size_t end) const {
    return absl::string_view(text_).substr(start, end - start);
  }
  absl::string_view TextOf(const Expr& expr) const {
    const Span span = SpanOf(expr);
    return Piece(span.start, span.end);
  }

  void Write(absl::string_view text) {
    absl::StrAppend(&out_, text);
    after_sign_ = false;
  }
  void Indent(size_t level) {
    if (!after_sign_) out_.append(2 * level, ' ');
    after_sign_ = false;
  }

  void Step(const Expr& expr, size_t level, size_t step);
  void Step(const Aggregate& expr, size_t level, size_t step);
  void Step(const Binary& expr, size_t level, size_t step);
  void Step(const Call& expr, size_t level, size_t step);
  void Step(const Paren& expr, size_t level, size_t step);
  void Step(const Subquery& expr, size_t level, size_t step);

  const size_t max_bytes_;
  std::string text_;
  Spans spans_;
  std::vector<Frame> stack_;
  std::string out_;
  bool after_sign_ = false;  // Which its operand follows at once.
};

void PrettyPrinter::Step(const Expr& expr, size_t level, size_t step) {
  if (expr.kind == ExprKind::kUnary) {
    const auto& unary = static_cast<const Unary&>(expr);
    Indent(level);
    Write(unary.negative ? "-" : "+");
    after_sign_ = true;
    return Push(*unary.expr, level, 0);
  }
  const absl::string_view text = TextOf(expr);
  const bool fits = text.size() <= kMaxLine;
  if (fits) {
    // A subquery begins where the expression in it would.
    if (expr.kind != ExprKind::kSubquery) Indent(level);
    return Write(text);
  }
  switch (expr.kind) {
    case ExprKind::kAggregate:
      return Step(static_cast<const Aggregate&>(expr), level, step);
    case ExprKind::kBinary:
      return Step(static_cast<const Binary&>(expr), level, step);
    case ExprKind::kCall:
      return Step(static_cast<const Call&>(expr), level, step);
    case ExprKind::kParen:
      return Step(static_cast<const Paren&>(expr), level, step);
    case ExprKind::kSubquery:
      return Step(static_cast<const Subquery&>(expr), level, step);
    case ExprKind::kMatrixSelector:
    case ExprKind::kNumber:
    case ExprKind::kString:
    case ExprKind::kUnary:
    case ExprKind::kVectorSelector:
      break;
  }
  Indent(level);
  Write(text);
}

void PrettyPrinter::Step(const Aggregate& expr, size_t level, size_t step) {
  if (step == 0) {
    const Expr& first = expr.parameter ? *expr.parameter : *expr.expr;
    Indent(level);
    // With the parenthesis.
    Write(Piece(SpanOf(expr).start, SpanOf(first).start));
    Write("\n");
    return Descend(first, level + 1, expr, level, expr.parameter ? 1 : 2);
  }
  if (step == 1) {
    Write(",\n");
    return Descend(*expr.expr, level + 1, expr, level, 2);
  }
  Write("\n");
  Indent(level);
  Write(")");
}

void PrettyPrinter::Step(const Binary& expr, size_t level, size_t step) {
  if (step == 0) return Descend(*expr.lhs, level + 1, expr, level, 1);
  Write("\n");
  Indent(level);
  // Without the spaces around the operator.
  Write(Piece(SpanOf(*expr.lhs).end + 1, SpanOf(*expr.rhs).start - 1));
  Write("\n");
  Push(*expr.rhs, level + 1, 0);
}

void PrettyPrinter::Step(const Call& expr, size_t level, size_t step) {
  if (step == 0) {
    Indent(level);
    Write(absl::StrCat(expr.function->name, "(\n"));
  }
  if (step == expr.args.size()) {
    Write("\n");
    Indent(level);
    return Write(")");
  }
  if (step > 0) Write(",\n");
  Descend(*expr.args[step], level + 1, expr, level, step + 1);
}

void PrettyPrinter::Step(const Paren& expr, size_t level, size_t step) {
  if (step == 0) {
    Indent(level);
    Write("(\n");
    return Descend(*expr.expr, level + 1, expr, level, 1);
  }
  Write("\n");
  Indent(level);
  Write(")");
}

void PrettyPrinter::Step(const Subquery& expr, size_t level, size_t step) {
  if (step == 0) return Descend(*expr.expr, level, expr, level, 1);
  Write(Piece(SpanOf(*expr.expr).end, SpanOf(expr).end));
}

}  // namespace

absl::StatusOr<std::string> PrettyPrint(const Expr& expr, size_t max_bytes) {
  return PrettyPrinter(expr, max_bytes).Run();
}

}  // namespace insula::promql
