#include "libs/promql/union_rewriter.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/promql/absent_labels.h"
#include "libs/promql/clone.h"
#include "libs/promql/confine.h"
#include "libs/promql/confine_union.h"
#include "libs/promql/functions.h"
#include "libs/promql/printer.h"
#include "libs/promql/visit.h"
#include "libs/status/status_macros.h"

namespace insula::promql {
namespace {

using labels::Matcher;
using labels::MatchType;

constexpr char kDenied[] = "__denied__";
// Keeps the metric name where `or` sees it.
constexpr char kNameTag[] = "__insula_name__";
constexpr size_t kNoIndex = static_cast<size_t>(-1);

// Functions of a range that make one series of each, by that series alone.
// Sorted. last_over_time() keeps the name, and first_over_time() may.
constexpr std::array<absl::string_view, 27> kSeriesWise = {
    "avg_over_time",
    "changes",
    "count_over_time",
    "delta",
    "deriv",
    "double_exponential_smoothing",
    "first_over_time",
    "holt_winters",
    "idelta",
    "increase",
    "irate",
    "last_over_time",
    "mad_over_time",
    "max_over_time",
    "min_over_time",
    "predict_linear",
    "present_over_time",
    "quantile_over_time",
    "rate",
    "resets",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time"};

bool IsSeriesWise(absl::string_view function) {
  return std::find(kSeriesWise.begin(), kSeriesWise.end(), function) !=
         kSeriesWise.end();
}

// Both answer otherwise for a selector than for what else has its value.
bool IsTimestamp(absl::string_view function) {
  return function == "timestamp" || function == "start_timestamp";
}

Matcher Equal(absl::string_view name, absl::string_view value) {
  return *Matcher::Create(MatchType::kEqual, name, value);
}

// Two that exclude each other, so that not even a series of that name passes.
Clause DeniedClause() {
  return {Equal(labels::kMetricName, kDenied),
          *Matcher::Create(MatchType::kNotEqual, labels::kMetricName, kDenied)};
}

// The expression in any parentheses, which functions do not see.
Expr& Unwrapped(Expr& expr) {
  Expr* inner = &expr;
  while (inner->kind == ExprKind::kParen) {
    inner = static_cast<Paren*>(inner)->expr.get();
  }
  return *inner;
}

// The selector that the argument `index` of a call is, or is the range of.
// Null if it is something else.
VectorSelector* SelectorOfArgument(Expr& call, size_t index) {
  Expr& inner = Unwrapped(*static_cast<Call&>(call).args[index]);
  if (inner.kind == ExprKind::kVectorSelector) {
    return static_cast<VectorSelector*>(&inner);
  }
  if (inner.kind == ExprKind::kMatrixSelector) {
    return &static_cast<MatrixSelector&>(inner).vector();
  }
  return nullptr;
}

VectorSelector* SelectorItself(Expr& expr, size_t) {
  return static_cast<VectorSelector*>(&expr);
}

VectorSelector* SelectorOfRange(Expr& expr, size_t) {
  return &static_cast<MatrixSelector&>(Unwrapped(expr)).vector();
}

// The argument whose selector the call as a whole must deal with: a range, or
// one that the function looks at as it is written. kNoIndex if there is none.
size_t ClaimedArgument(Call& call) {
  const absl::string_view name = call.function->name;
  const bool looks = IsTimestamp(name) || name == "absent";
  for (size_t i = 0; i < call.args.size(); ++i) {
    const ExprKind kind = Unwrapped(*call.args[i]).kind;
    if (kind == ExprKind::kMatrixSelector ||
        (kind == ExprKind::kVectorSelector && looks)) {
      return i;
    }
  }
  return kNoIndex;
}

// A name in front and a matcher on it do not parse; `{__name__="up",...}` does.
void SetMatchers(VectorSelector& selector, Clause matchers) {
  selector.matchers = std::move(matchers);
  const auto names = std::count_if(
      selector.matchers.begin(), selector.matchers.end(),
      [](const Matcher& m) { return m.name() == labels::kMetricName; });
  if (names > 1) selector.name.clear();
}

// The metric name that all series of a selector have. Nullopt if any.
std::optional<std::string> FixedName(const Clause& matchers) {
  for (const Matcher& matcher : matchers) {
    if (matcher.name() == labels::kMetricName &&
        matcher.type() == MatchType::kEqual) {
      return matcher.value();
    }
  }
  return std::nullopt;
}

bool HaveOneName(const Clauses& arms) {
  const std::optional<std::string> name = FixedName(arms.front());
  return name.has_value() &&
         std::all_of(arms.begin(), arms.end(),
                     [&name](const Clause& c) { return FixedName(c) == name; });
}

Clause And(Clause selector, const Clause& added) {
  for (const Matcher& matcher : added) {
    if (std::find(selector.begin(), selector.end(), matcher) ==
        selector.end()) {
      selector.push_back(matcher);
    }
  }
  return selector;
}

// `(a or b or c)`.
ExprPtr Or(std::vector<ExprPtr> operands) {
  ExprPtr united = std::move(operands.front());
  for (size_t i = 1; i < operands.size(); ++i) {
    auto* binary = new Binary;
    ExprPtr owner(binary);
    binary->op = BinaryOp::kOr;
    binary->matching.emplace().cardinality = Cardinality::kManyToMany;
    binary->lhs = std::move(united);
    binary->rhs = std::move(operands[i]);
    united = std::move(owner);
  }
  return ExprPtr(new Paren(std::move(united)));
}

// The same for operands whose elements have names that may differ in nothing
// else. `.` of a name may be a line feed.
ExprPtr OrByName(std::vector<ExprPtr> operands) {
  for (ExprPtr& operand : operands) {
    operand = LabelReplace(std::move(operand), kNameTag, "$1",
                           labels::kMetricName, "(?s:(.*))");
  }
  return LabelReplace(Or(std::move(operands)), kNameTag, "", "", "");
}

ExprPtr MakeCall(absl::string_view function, ExprPtr argument) {
  auto* call = new Call(FindFunction(function));
  ExprPtr owner(call);
  call->args.push_back(std::move(argument));
  return owner;
}

}  // namespace

absl::Status UnionRewriter::Refuse(const VectorSelector& selector, size_t arms,
                                   absl::string_view why) const {
  const absl::string_view before = query_.substr(
      0, std::min(static_cast<size_t>(selector.range.start), query_.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0.
  constexpr size_t kMaxShown = 200;
  std::string shown = PrintSelector(selector.matchers);
  if (shown.size() > kMaxShown) {
    size_t end = kMaxShown;
    while ((static_cast<unsigned char>(shown[end]) & 0xC0) == 0x80) --end;
    shown = absl::StrCat(shown.substr(0, end), "...");
  }
  return absl::InvalidArgumentError(
      absl::StrCat(line, ":", before.size() - line_start + 1, ": the selector ",
                   shown, " is a union of ", arms, " grants, ", why));
}

void UnionRewriter::NoteSeen(const VectorSelector& selector) {
  seen_.resize(simple_.size());
  for (size_t i = 0; i < simple_.size(); ++i) {
    if (!seen_[i] && !IsContradiction(And(selector.matchers, simple_[i]))) {
      seen_[i] = true;
    }
  }
}

Clauses UnionRewriter::SeenClauses() const {
  Clauses clauses;
  for (size_t i = 0; i < seen_.size(); ++i) {
    if (seen_[i]) clauses.push_back(simple_[i]);
  }
  return clauses;
}

absl::StatusOr<const UnionRewriter::Plan*> UnionRewriter::PlanOf(
    const VectorSelector& selector) {
  std::string key = PrintSelector(selector.matchers);
  if (const auto found = plans_.find(key); found != plans_.end()) {
    return &found->second;
  }
  const Clauses residuals =
      whole_ ? simple_ : Residuals(selector.matchers, simple_);
  if (leaves_unions_) {
    NoteSeen(selector);
    if (residuals.size() > 1) {
      left_unions_ = true;
      Plan as_it_is = {
          .arms = {selector.matchers}, .fixed = false, .separate = false};
      return &plans_.emplace(std::move(key), std::move(as_it_is)).first->second;
    }
  }
  if (residuals.size() > kMaxArms) {
    return Refuse(selector, residuals.size(),
                  absl::StrCat("more than the ", kMaxArms,
                               " that one text may hold; add matchers, such "
                               "as a metric name"));
  }
  Plan plan = {.arms = {}, .fixed = false, .separate = false};
  for (const Clause& residual : residuals) {
    plan.arms.push_back(And(selector.matchers, residual));
  }
  if (plan.arms.size() > 1) {
    plan.fixed = HaveOneName(plan.arms);
    if (!plan.fixed) {
      if (const auto separated = Separate(residuals, kMaxArms)) {
        plan.separate = true;
        plan.arms.clear();
        for (const Clause& residual : *separated) {
          plan.arms.push_back(And(selector.matchers, residual));
        }
      }
    }
  }
  return &plans_.emplace(std::move(key), std::move(plan)).first->second;
}

absl::StatusOr<std::vector<ExprPtr>> UnionRewriter::Copies(
    const Expr& expr, const Clauses& arms,
    VectorSelector* (*find)(Expr&, size_t), size_t index) {
  std::vector<ExprPtr> copies;
  for (const Clause& arm : arms) {
    ExprPtr copy = Clone(expr, &budget_);
    if (copy == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the query, confined to the grants of the tenant, has "
          "more than the ",
          kMaxConfinedBytes, " bytes allowed; use fewer or shorter selectors"));
    }
    SetMatchers(*find(*copy, index), arm);
    copies.push_back(std::move(copy));
  }
  return copies;
}

absl::StatusOr<std::vector<ExprPtr>> UnionRewriter::Run(ExprPtr root) {
  if (Unwrapped(*root).kind == ExprKind::kMatrixSelector) {
    return RewriteRange(std::move(root));
  }
  RETURN_IF_ERROR(Walk(&root));
  std::vector<ExprPtr> roots;
  roots.push_back(std::move(root));
  return roots;
}

absl::StatusOr<std::vector<ExprPtr>> UnionRewriter::RewriteRange(ExprPtr root) {
  ASSIGN_OR_RETURN(const Plan* plan, PlanOf(*SelectorOfRange(*root, 0)));
  Clauses arms = plan->arms;
  if (arms.empty()) {
    arms.push_back(And(SelectorOfRange(*root, 0)->matchers, DeniedClause()));
  }
  return Copies(*root, arms, SelectorOfRange, 0);
}

absl::Status UnionRewriter::Walk(ExprPtr* root) {
  struct Frame {
    ExprPtr* slot;
    size_t next;     // The child that comes next.
    size_t claimed;  // The one that its parent deals with.
  };
  const auto enter = [](ExprPtr* slot) {
    const bool call = (*slot)->kind == ExprKind::kCall;
    return Frame{slot, 0,
                 call ? ClaimedArgument(static_cast<Call&>(**slot)) : kNoIndex};
  };
  std::vector<Frame> stack = {enter(root)};
  while (!stack.empty()) {
    Frame& frame = stack.back();
    if (frame.next == frame.claimed) ++frame.next;
    if (ExprPtr* child = ChildSlot(**frame.slot, frame.next)) {
      ++frame.next;
      stack.push_back(enter(child));
      continue;
    }
    const Frame done = frame;
    stack.pop_back();
    if ((*done.slot)->kind == ExprKind::kVectorSelector) {
      RETURN_IF_ERROR(RewriteSelector(done.slot));
    } else if (done.claimed != kNoIndex) {
      RETURN_IF_ERROR(RewriteCall(done.slot, done.claimed));
    } else if ((*done.slot)->kind == ExprKind::kMatrixSelector) {
      return absl::InternalError("a range selector outside of a function");
    }
  }
  return absl::OkStatus();
}

absl::Status UnionRewriter::RewriteSelector(ExprPtr* slot) {
  auto& selector = static_cast<VectorSelector&>(**slot);
  ASSIGN_OR_RETURN(const Plan* plan, PlanOf(selector));
  if (plan->arms.size() < 2) {
    SetMatchers(selector, plan->arms.empty()
                              ? And(selector.matchers, DeniedClause())
                              : plan->arms.front());
    return absl::OkStatus();
  }
  const bool tagged = !plan->fixed && !plan->separate;
  if (tagged &&
      std::any_of(selector.matchers.begin(), selector.matchers.end(),
                  [](const Matcher& m) { return m.name() == kNameTag; })) {
    return Refuse(selector, plan->arms.size(),
                  absl::StrCat("which takes the label ", kNameTag,
                               "; do not match on it"));
  }
  ASSIGN_OR_RETURN(std::vector<ExprPtr> copies,
                   Copies(selector, plan->arms, SelectorItself, 0));
  *slot = tagged ? OrByName(std::move(copies)) : Or(std::move(copies));
  return absl::OkStatus();
}

absl::Status UnionRewriter::RewriteCall(ExprPtr* slot, size_t index) {
  auto& call = static_cast<Call&>(**slot);
  const absl::string_view function = call.function->name;
  VectorSelector& selector = *SelectorOfArgument(call, index);
  ASSIGN_OR_RETURN(const Plan* plan, PlanOf(selector));
  if ((function == "absent" || function == "absent_over_time") &&
      !(whole_ && absent_labels_ == AbsentLabels::kOfPolicy)) {
    return RewriteAbsent(slot, selector, *plan);
  }
  if (plan->arms.size() < 2) {
    SetMatchers(selector, plan->arms.empty()
                              ? And(selector.matchers, DeniedClause())
                              : plan->arms.front());
    return absl::OkStatus();
  }
  if (!IsSeriesWise(function) && !IsTimestamp(function)) {
    return Refuse(selector, plan->arms.size(),
                  absl::StrCat("which cannot be put together behind ", function,
                               "(); add matchers so that one is left"));
  }
  bool told_apart = plan->fixed || plan->separate;
  if (!told_apart && function != "last_over_time" && unlike_ != nullptr) {
    if (std::find(unlike_->begin(), unlike_->end(), selector.matchers) ==
        unlike_->end()) {
      unlike_->push_back(selector.matchers);
    }
    told_apart = true;
  }
  if (!told_apart && function != "last_over_time") {
    return Refuse(
        selector, plan->arms.size(),
        absl::StrCat("which ", function,
                     "() cannot be given without a fixed metric name, as it "
                     "drops the name; add a metric name"));
  }
  ASSIGN_OR_RETURN(std::vector<ExprPtr> copies,
                   Copies(call, plan->arms, SelectorOfArgument, index));
  *slot = told_apart ? Or(std::move(copies)) : OrByName(std::move(copies));
  return absl::OkStatus();
}

absl::Status UnionRewriter::RewriteAbsent(ExprPtr* slot,
                                          const VectorSelector& selector,
                                          const Plan& plan) {
  const auto want = LabelsOfAbsent(selector.matchers);
  if (plan.arms.size() < 2) {
    Clause arm = plan.arms.empty() ? And(selector.matchers, DeniedClause())
                                   : plan.arms.front();
    const auto have = LabelsOfAbsent(AsPrinted(arm));
    SetMatchers(*SelectorOfArgument(**slot, 0), std::move(arm));
    *slot = Relabeled(std::move(*slot), have, want);
    return absl::OkStatus();
  }
  // Whether anything is there does not depend on names. last_over_time() is
  // there whenever there is anything in the range, and never fails.
  const auto& call = static_cast<const Call&>(**slot);
  const bool over_time = call.function->name == "absent_over_time";
  ASSIGN_OR_RETURN(std::vector<ExprPtr> copies,
                   over_time
                       ? Copies(*call.args[0], plan.arms, SelectorOfRange, 0)
                       : Copies(selector, plan.arms, SelectorItself, 0));
  if (over_time) {
    for (ExprPtr& copy : copies) {
      copy = MakeCall("last_over_time", std::move(copy));
    }
  }
  *slot = Relabeled(MakeCall("absent", Or(std::move(copies))), {}, want);
  return absl::OkStatus();
}

}  // namespace insula::promql
