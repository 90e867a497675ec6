#include "libs/promql/confine.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/labels/validity.h"
#include "libs/promql/equal.h"
#include "libs/promql/printer.h"
#include "libs/promql/visit.h"
#include "libs/status/status_macros.h"

#ifdef INSULA_PLANT_FAULTS
#include "libs/promql/planted_faults.h"
#endif

namespace insula::promql {
namespace {

using Matchers = std::vector<labels::Matcher>;

// Tests of isolation must fail when there is none: they are run once more
// against binaries that link the library target `promql_broken`, which alone
// defines this.
#ifdef INSULA_BREAK_CONFINEMENT
constexpr bool kConfines = false;
#else
constexpr bool kConfines = true;
#endif

// Which selectors are reached, and whether those that are not are noticed: all,
// and yes, but for planted_faults.h.
#ifdef INSULA_PLANT_FAULTS
constexpr bool kChecks = false;
#else
constexpr bool kChecks = kConfines;
#endif

bool Contains(const Matchers& matchers, const labels::Matcher& wanted) {
  return std::find(matchers.begin(), matchers.end(), wanted) != matchers.end();
}

absl::Status CheckEnforced(const Matchers& enforced) {
  if (enforced.empty()) {
    return absl::InvalidArgumentError(
        "no matchers to enforce; a tenant needs at least one");
  }
  for (const labels::Matcher& matcher : enforced) {
    if (!labels::IsLegacyLabelName(matcher.name())) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot enforce ", PrintSelector({matcher}),
                       ": the label name must be of [a-zA-Z0-9_] and not "
                       "start with a digit"));
    }
    if (matcher.MatchesEmpty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "cannot enforce ", PrintSelector({matcher}),
          ": series without the label would pass; require a value"));
    }
  }
  return absl::OkStatus();
}

void ConfineSelector(VectorSelector& selector, const Matchers& enforced) {
  for (const labels::Matcher& matcher : enforced) {
    if (Contains(selector.matchers, matcher)) continue;
    selector.matchers.push_back(matcher);
    // A name in front and a matcher on it do not parse; `{__name__="up",...}`
    // does.
    if (matcher.name() == labels::kMetricName) selector.name.clear();
  }
}

absl::Status CheckExplicit(const Expr& node, absl::string_view query) {
  if (node.kind != ExprKind::kCall ||
      static_cast<const Call&>(node).function->name != "info") {
    return absl::OkStatus();
  }
  const absl::string_view before = query.substr(
      0, std::min(static_cast<size_t>(node.range.start), query.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0.
  return absl::InvalidArgumentError(absl::StrCat(
      line, ":", before.size() - line_start + 1,
      ": info() selects series that the query does not name, and so cannot "
      "be confined to a tenant; join the metric with labels by group_left"));
}

// All selectors, after CheckExplicitSelectors().
absl::StatusOr<std::vector<VectorSelector*>> ExplicitSelectors(
    Expr& expr, absl::string_view query) {
  std::vector<VectorSelector*> selectors;
  RETURN_IF_ERROR(Visit(expr, [&](Expr& node) {
    if (node.kind == ExprKind::kVectorSelector) {
      selectors.push_back(static_cast<VectorSelector*>(&node));
      return absl::OkStatus();
    }
    return CheckExplicit(node, query);
  }));
  return selectors;
}

// Of `selectors`, which are all those of `expr`.
absl::Status ConfineSelectors([[maybe_unused]] Expr& expr,
                              std::vector<VectorSelector*> selectors,
                              const Matchers& enforced) {
  RETURN_IF_ERROR(CheckEnforced(enforced));
#ifdef INSULA_PLANT_FAULTS
  ASSIGN_OR_RETURN(selectors, ReachedSelectors(expr));
#endif
  for (VectorSelector* selector : selectors) {
    if (kConfines) ConfineSelector(*selector, enforced);
  }
  return absl::OkStatus();
}

absl::Status CheckConfinedSelectors(
    const std::vector<const VectorSelector*>& selectors,
    const Matchers& enforced) {
  for (const VectorSelector* selector : selectors) {
    for (const labels::Matcher& matcher : enforced) {
      if (Contains(selector->matchers, matcher) || !kChecks) continue;
      return absl::InternalError(
          absl::StrCat("selector ", PrintSelector(selector->matchers),
                       " lacks ", PrintSelector({matcher})));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckExplicitSelectors(const Expr& expr, absl::string_view query) {
  return Visit(
      expr, [query](const Expr& node) { return CheckExplicit(node, query); });
}

absl::Status Confine(Expr* expr, const Matchers& enforced) {
  RETURN_IF_ERROR(CheckEnforced(enforced));
  ASSIGN_OR_RETURN(auto selectors, ExplicitSelectors(*expr, ""));
  return ConfineSelectors(*expr, std::move(selectors), enforced);
}

absl::Status CheckConfined(const Expr& expr, const Matchers& enforced) {
  RETURN_IF_ERROR(CheckEnforced(enforced));
  ASSIGN_OR_RETURN(const auto selectors, Selectors(expr));
  return CheckConfinedSelectors(selectors, enforced);
}

absl::Status CheckSelectorLimit(size_t selectors) {
  if (selectors <= kMaxSelectors) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the query has ", selectors, " selectors, more than the ",
                   kMaxSelectors, " allowed; use fewer selectors"));
}

absl::StatusOr<std::string> ConfineQuery(absl::string_view query,
                                         const Matchers& enforced,
                                         const ParseOptions& options) {
  ASSIGN_OR_RETURN(ExprPtr parsed, Parse(query, options));
  return ConfineParsed(query, std::move(parsed), enforced, options);
}

absl::StatusOr<std::string> ConfineParsed(absl::string_view query, ExprPtr expr,
                                          const Matchers& enforced,
                                          const ParseOptions& options) {
  ASSIGN_OR_RETURN(auto selectors, ExplicitSelectors(*expr, query));
  const size_t meant = selectors.size();
  RETURN_IF_ERROR(CheckSelectorLimit(meant));
  RETURN_IF_ERROR(ConfineSelectors(*expr, std::move(selectors), enforced));
  std::string text = Print(*expr);
  if (text.size() > kMaxConfinedBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the query, confined to the tenant, has ", text.size(),
                     " bytes, more than the ", kMaxConfinedBytes,
                     " allowed; use fewer selectors"));
  }

  // What is sent is this text, so this text is what is checked.
  ParseOptions again = options;
  again.max_bytes = kMaxConfinedBytes;
  again.max_depth = std::numeric_limits<int>::max();
  again.max_tokens = again.max_regex_cost = std::numeric_limits<size_t>::max();
  absl::StatusOr<ExprPtr> sent = Parse(text, again);
  if (!sent.ok()) {
    return absl::InternalError(absl::StrCat(
        "the confined query does not parse: ", sent.status().message()));
  }
  const Expr& read = **sent;
  ASSIGN_OR_RETURN(const auto found, Selectors(read));
  RETURN_IF_ERROR(CheckConfinedSelectors(found, enforced));
  if (found.size() != meant ||
      !(AreEqual(read, *expr) || Print(read) == text)) {
    return absl::InternalError("the confined query reads as another one");
  }
  return text;
}

}  // namespace insula::promql
