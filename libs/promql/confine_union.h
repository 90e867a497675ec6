// Confines an expression to a union of clauses: to the series that pass all
// matchers of at least one of them.
//
// PromQL has no `or` between matchers, so a selector that may see several
// grants becomes several selectors, put together so that the answer is that of
// a server which stores nothing but the visible series:
//
//   grants {namespace="red"} and {namespace="blue",__name__=~"up|jobs"}
//   up           up{namespace=~"blue|red"}
//   secret       secret{namespace="red"}
//
//   grants {pod="a"} and {code="5"}
//   sum(up)      sum((up{pod="a"} or up{code="5"}))
//   rate(x[5m])  (rate(x{pod="a"}[5m]) or rate(x{code="5"}[5m]))
//
// What cannot be written exactly is refused, never widened: INVALID_ARGUMENT
// with the place and a cure. Only the order of the elements of a vector may
// differ, and with it the last bits of sums and which of equals topk() chooses.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/promql/clause_union.h"
#include "libs/promql/parser.h"

namespace insula::promql {

// The most arms of one selector.
inline constexpr size_t kMaxArms = 16;

// The most selectors of a query and of what is sent instead of it.
inline constexpr size_t kMaxUnionSelectors = 256;

// With which labels absent() and absent_over_time() answer under a policy of
// one clause, whose `name="value"` matchers they would show like those of the
// query. With several clauses always with those of the query.
enum class AbsentLabels {
  kOfQuery,   // As a server answers that holds nothing else.
  kOfPolicy,  // With those of the clause as well; alerts are routed by them.
};

// The text to send instead of `query`. Give it SimplifyClauses() of a policy
// with many clauses, so that this is not done for each query.
//
// One clause: what ConfineQuery() makes, for which every matcher may match the
// empty string but one; absent() answers with AbsentLabels::kOfPolicy. No
// clause: nothing is visible; every selector becomes one that selects nothing.
//
// Otherwise, for each selector:
// - no clause left, by Residuals():
// `__name__="__denied__",__name__!="__denied__"`
//   is added, which selects nothing, not even series of that name;
// - one left: its matchers are added;
// - several: `or` between copies of the selector, or of the function of its
// range.
//   `or` takes series apart by all labels but the name. So either the name is
//   fixed (`up`, `{__name__="up"}`), or the arms are told apart by another
//   label, for which they are cut down where they overlap, or the name is kept
//   in the label
//   `__insula_name__` meanwhile, which no visible series may have.
// absent() and absent_over_time() answer with the labels that the user's
// selector gives them, timestamp() with those of samples.
//
// INVALID_ARGUMENT beyond what ConfineQuery() refuses:
// - several arms below a function that drops the name (rate(), timestamp()),
// the
//   name not fixed and grants on names overlapping, as no text fails when two
//   series become one, and only then;
// - a range selector that is the whole query: see ConfineQueryToTexts();
// - more than kMaxArms or kMaxUnionSelectors, kMaxConfinedBytes, or 1,000
// levels;
// - clauses that CheckClauses() refuses.
absl::StatusOr<std::string> ConfineQueryToUnion(
    absl::string_view query, const Clauses& clauses,
    const ParseOptions& options = {});

// The texts to send instead of `query`, one for all queries but a range
// selector
// (`up[5m]`), which yields one an arm. Their answers, equal series taken once,
// are together the answer. Otherwise as ConfineQueryToUnion().
absl::StatusOr<std::vector<std::string>> ConfineQueryToTexts(
    absl::string_view query, const Clauses& clauses,
    const ParseOptions& options = {},
    AbsentLabels absent_labels = AbsentLabels::kOfQuery);

// The same of a query that was parsed with these options. With `unlike` it
// refuses none for want of a fixed metric name: the selectors that lack one go
// there, each once. The texts are exact if, of what is visible of each, no two
// series are alike but for the name, and else lack some of these.
absl::StatusOr<std::vector<std::string>> ConfineParsedToTexts(
    absl::string_view query, ExprPtr expr, const Clauses& clauses,
    const ParseOptions& options,
    AbsentLabels absent_labels = AbsentLabels::kOfQuery,
    Clauses* unlike = nullptr);

// What a store is sent that takes a union of selectors beside the query, as a
// VictoriaMetrics does by `extra_filters[]`.
struct FilteredQuery {
  std::string text;
  // Selectors. Every series that is read has to pass one of them.
  std::vector<std::string> filters;
  // Whether there are selectors in the text which nothing but these confines:
  // whoever passes over the filters must not be sent it.
  bool needs_filters = false;
};

// The most filters.
inline constexpr size_t kMaxFilters = 64;

// The text and the filters to send instead of `query`, which was parsed with
// these options. Selectors that see one clause at most are confined in the
// text, as ConfineQueryToTexts() does; others stay as they are. The filters are
// the clauses that a selector of the query sees something of; none where they
// are more than kMaxFilters and the text needs none.
//
// INVALID_ARGUMENT as there, but no query is refused for a union that no text
// can hold; instead for more than kMaxFilters that it needs.
absl::StatusOr<FilteredQuery> ConfineParsedToFilters(
    absl::string_view query, ExprPtr parsed, const Clauses& clauses,
    const ParseOptions& options);

}  // namespace insula::promql
