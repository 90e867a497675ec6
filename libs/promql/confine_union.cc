#include "libs/promql/confine_union.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/promql/ast.h"
#include "libs/promql/confine.h"
#include "libs/promql/printer.h"
#include "libs/promql/union_check.h"
#include "libs/promql/union_rewriter.h"
#include "libs/promql/visit.h"
#include "libs/status/status_macros.h"

namespace insula::promql {
namespace {

// Of what is sent; the parser of Prometheus has no bound.
constexpr int kMaxLevels = 1000;

// Bytes of a query times matchers of the policy: what comparing them may take.
constexpr size_t kMaxComparisons = size_t{1} << 28;

#ifdef INSULA_BREAK_CONFINEMENT
constexpr bool kConfines = false;
#else
constexpr bool kConfines = true;
#endif

// How deep the parser sees `root` nest, or more.
int Levels(const Expr& root) {
  struct Frame {
    const Expr* expr;
    int level;
  };
  std::vector<Frame> waiting = {{&root, 1}};
  int deepest = 0;
  while (!waiting.empty()) {
    const Frame frame = waiting.back();
    waiting.pop_back();
    const bool chain =
        frame.expr->kind == ExprKind::kBinary &&
        static_cast<const Binary*>(frame.expr)->op != BinaryOp::kPower;
    const int level = frame.level + (chain ? 0 : 1);
    deepest = std::max(deepest, level);
    for (size_t i = 0; const Expr* child = Child(*frame.expr, i); ++i) {
      waiting.push_back({child, level});
    }
  }
  return deepest;
}

absl::Status CheckSize(size_t query_bytes, const Clauses& clauses) {
  size_t matchers = 0;
  for (const Clause& clause : clauses) matchers += clause.size();
  if (query_bytes > 0 && matchers > kMaxComparisons / query_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the query has ", query_bytes, " bytes, more than the ",
                     kMaxComparisons / matchers, " allowed for a policy of ",
                     matchers, " matchers; shorten it"));
  }
  return absl::OkStatus();
}

absl::Status CheckSelectorCount(size_t count, absl::string_view what) {
  if (count <= kMaxUnionSelectors) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      what, " has ", count, " selectors, more than the ", kMaxUnionSelectors,
      " allowed for a tenant with several grants; use fewer"));
}

absl::StatusOr<size_t> CountSelectors(const Expr& expr) {
  ASSIGN_OR_RETURN(const auto selectors, Selectors(expr));
  return selectors.size();
}

// How the selectors of a text are confined.
enum class By {
  kThemselves,
  kFilters,  // Or by these; what they show is not for the text to say.
};

// The text of `expr`, which reads as it is meant and shows nothing else.
absl::StatusOr<std::string> CheckedText(const Expr& expr,
                                        const Clauses& clauses, bool capped,
                                        const ParseOptions& options,
                                        By by = By::kThemselves) {
  const auto check = [&](const Expr& what) {
    return by == By::kFilters ? absl::OkStatus()
                              : CheckConfinedToUnion(what, clauses);
  };
  RETURN_IF_ERROR(check(expr));
  ASSIGN_OR_RETURN(const size_t meant, CountSelectors(expr));
  if (capped) {
    RETURN_IF_ERROR(CheckSelectorCount(
        meant, "the query, confined to the grants of the tenant,"));
  }
  std::string text = Print(expr);
  if (text.size() > kMaxConfinedBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the query, confined to the grants of the tenant, has ",
                     text.size(), " bytes, more than the ", kMaxConfinedBytes,
                     " allowed; use fewer or shorter selectors"));
  }
  if (const int levels = Levels(expr); levels > kMaxLevels) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the query, confined to the grants of the tenant, is nested ", levels,
        " levels, more than the ", kMaxLevels, " allowed; simplify it"));
  }

  // What is sent is this text, so this text is what is checked.
  ParseOptions again = options;
  again.max_bytes = kMaxConfinedBytes;
  again.max_depth = std::numeric_limits<int>::max();
  again.max_tokens = again.max_regex_cost = std::numeric_limits<size_t>::max();
  const absl::StatusOr<ExprPtr> sent = Parse(text, again);
  if (!sent.ok()) {
    return absl::InternalError(absl::StrCat(
        "the confined query does not parse: ", sent.status().message()));
  }
  RETURN_IF_ERROR(check(**sent));
  ASSIGN_OR_RETURN(const size_t found, CountSelectors(**sent));
  if (found != meant || Print(**sent) != text) {
    return absl::InternalError("the confined query reads as another one");
  }
  return text;
}

// The texts of `filters`, each of which shows nothing that no clause shows.
absl::StatusOr<std::vector<std::string>> CheckedFilters(
    const Clauses& filters, const Clauses& clauses,
    const ParseOptions& options) {
  ParseOptions again = options;
  again.max_bytes = kMaxConfinedBytes;
  again.max_tokens = again.max_regex_cost = std::numeric_limits<size_t>::max();
  std::vector<std::string> texts;
  for (const Clause& filter : filters) {
    std::string text = PrintSelector(filter);
    const absl::StatusOr<Clause> sent = ParseMetricSelector(text, again);
    if (!sent.ok() || PrintSelector(*sent) != text ||
        !IsCovered(*sent, clauses)) {
      return absl::InternalError(
          absl::StrCat("the filter ", text, " reads as another one"));
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

bool IsEnforceable(const Clause& clause) {
  return std::none_of(
      clause.begin(), clause.end(),
      [](const labels::Matcher& matcher) { return matcher.MatchesEmpty(); });
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ConfineQueryToTexts(
    absl::string_view query, const Clauses& clauses,
    const ParseOptions& options, AbsentLabels absent_labels) {
  ASSIGN_OR_RETURN(ExprPtr parsed, Parse(query, options));
  return ConfineParsedToTexts(query, std::move(parsed), clauses, options,
                              absent_labels);
}

absl::StatusOr<std::vector<std::string>> ConfineParsedToTexts(
    absl::string_view query, ExprPtr expr, const Clauses& clauses,
    const ParseOptions& options, AbsentLabels absent_labels, Clauses* unlike) {
  RETURN_IF_ERROR(CheckClauses(clauses));
  std::vector<std::string> texts;
  const bool relabels = absent_labels == AbsentLabels::kOfQuery &&
                        absl::StrContains(query, "absent");
  if (clauses.size() == 1 && IsEnforceable(clauses.front()) && !relabels) {
    ASSIGN_OR_RETURN(
        texts.emplace_back(),
        ConfineParsed(query, std::move(expr), clauses.front(), options));
    return texts;
  }
  RETURN_IF_ERROR(CheckExplicitSelectors(*expr, query));
  if (!kConfines) {
    texts.push_back(Print(*expr));
    return texts;
  }
  const bool whole = clauses.size() == 1;
  const Clauses simple = whole ? clauses : SimplifyClauses(clauses);
  RETURN_IF_ERROR(CheckSize(query.size(), simple));
  ASSIGN_OR_RETURN(const size_t selectors, CountSelectors(*expr));
  RETURN_IF_ERROR(whole ? CheckSelectorLimit(selectors)
                        : CheckSelectorCount(selectors, "the query"));
  UnionRewriter rewriter(query, simple, whole, absent_labels);
  rewriter.TakeForUnlike(unlike);
  ASSIGN_OR_RETURN(const std::vector<ExprPtr> roots,
                   rewriter.Run(std::move(expr)));
  for (const ExprPtr& root : roots) {
    ASSIGN_OR_RETURN(texts.emplace_back(),
                     CheckedText(*root, simple, !whole, options));
  }
  return texts;
}

absl::StatusOr<FilteredQuery> ConfineParsedToFilters(
    absl::string_view query, ExprPtr parsed, const Clauses& clauses,
    const ParseOptions& options) {
  FilteredQuery filtered;
  const bool whole = clauses.size() == 1;
  if (whole || !kConfines) {
    ASSIGN_OR_RETURN(std::vector<std::string> texts,
                     ConfineParsedToTexts(query, std::move(parsed), clauses,
                                          options, AbsentLabels::kOfQuery));
    filtered.text = std::move(texts.front());
    if (!kConfines) return filtered;
    ASSIGN_OR_RETURN(filtered.filters,
                     CheckedFilters(clauses, clauses, options));
    return filtered;
  }
  RETURN_IF_ERROR(CheckClauses(clauses));
  RETURN_IF_ERROR(CheckExplicitSelectors(*parsed, query));
  const Clauses simple = SimplifyClauses(clauses);
  RETURN_IF_ERROR(CheckSize(query.size(), simple));
  ASSIGN_OR_RETURN(const size_t selectors, CountSelectors(*parsed));
  RETURN_IF_ERROR(CheckSelectorCount(selectors, "the query"));
  UnionRewriter rewriter(query, simple, false, AbsentLabels::kOfQuery);
  rewriter.LeaveUnions();
  ASSIGN_OR_RETURN(const std::vector<ExprPtr> roots,
                   rewriter.Run(std::move(parsed)));
  if (roots.size() != 1) return absl::InternalError("the query became several");
  filtered.needs_filters = rewriter.left_unions();
  Clauses seen = rewriter.SeenClauses();
  // Each contradicts itself: any of them shows as much as all.
  if (filtered.needs_filters && seen.empty()) seen.push_back(simple.front());
  if (seen.size() > kMaxFilters && filtered.needs_filters) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the selectors of the query see ", seen.size(),
        " grants, more than the ", kMaxFilters,
        " that a query may be confined to; add matchers, such as a metric "
        "name"));
  }
  if (seen.size() <= kMaxFilters) {
    ASSIGN_OR_RETURN(filtered.filters, CheckedFilters(seen, simple, options));
  }
  // That there are filters is what lets selectors stay.
  const By by = filtered.needs_filters && !filtered.filters.empty()
                    ? By::kFilters
                    : By::kThemselves;
  ASSIGN_OR_RETURN(filtered.text,
                   CheckedText(*roots.front(), simple, true, options, by));
  return filtered;
}

absl::StatusOr<std::string> ConfineQueryToUnion(absl::string_view query,
                                                const Clauses& clauses,
                                                const ParseOptions& options) {
  ASSIGN_OR_RETURN(
      std::vector<std::string> texts,
      ConfineQueryToTexts(query, clauses, options, AbsentLabels::kOfPolicy));
  if (texts.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "1:1: a range selector as the whole query is a union of ", texts.size(),
        " grants here, which one text cannot hold; add matchers, or put a "
        "function around it"));
  }
  return std::move(texts.front());
}

}  // namespace insula::promql
