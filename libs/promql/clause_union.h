// A read policy as a union of clauses, seen from one selector.
//
// A clause is a conjunction of matchers; a series is visible if it passes all
// matchers of at least one clause. What a selector may see of such a policy is
// again a union of selectors, its arms. Here the arms are found and made few;
// confine_union.h puts them into expressions.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "libs/labels/matcher.h"

namespace insula::promql {

using Clause = std::vector<labels::Matcher>;
using Clauses = std::vector<Clause>;

// The most clauses of a policy, and matchers in all of them together.
inline constexpr size_t kMaxClauses = 4096;
inline constexpr size_t kMaxClauseMatchers = size_t{4} * kMaxClauses;

// INVALID_ARGUMENT if there are too many clauses, or one of them is empty, has
// no matcher that a series needs a label for (`{a!="b"}` lets strangers pass),
// or has a label name that PromQL cannot write. No clause at all is OK.
absl::Status CheckClauses(const Clauses& clauses);

// As few clauses with the same meaning:
// - absorb: a clause that holds all matchers of another one is dropped;
// - merge: clauses that differ in one matcher, `=` or `=~` on the same label,
//   become one with `=~"a|b"`. Each expression goes into a group of its own and
//   values are quoted. Expressions with `\Q` or `[)]`, which may reach beyond a
//   group, and those that match the empty string are left alone;
// - `!=a` in one and `!=b` in the other restrict nothing together.
// Order is kept. Worth doing once, when the policy is loaded; calls that follow
// do it again, and find nothing.
Clauses SimplifyClauses(const Clauses& clauses);

// What clauses that are simple already add to `selector`: the union of
// `selector` and each of these is what the selector may see.
// - Clauses which contradict a matcher of the selector are gone. None left:
//   nothing may be seen.
// - Matchers that the selector has, to the letter, and those which its
// `name="value"`
//   fulfils, are gone. A single empty clause: the selector sees what it asks
//   for.
// - What remains is absorbed and merged once more.
// Expressions are tried only on values for which RE2 and Go agree: ASCII
// without line feed. On others clauses and matchers stay.
Clauses Residuals(const Clause& selector, const Clauses& simple);

// Changes residuals so that no two series which differ in nothing but the
// metric name pass two of them: any two contradict each other on another label.
// Where clauses overlap one is cut down by the negated matchers of the other.
// Nullopt if that cannot be done, or yields more than `max_clauses`.
std::optional<Clauses> Separate(const Clauses& residuals, size_t max_clauses);

// Whether no series passes all of `matchers`, for certain.
bool IsContradiction(const Clause& matchers);

// For `match[]`: the selectors whose union is what `selector` may see. None:
// nothing may be seen, and nothing is to be asked, as no `match[]` selects
// everything. A selector without matchers yields the clauses. With one clause
// all its matchers are added, as ConfineQuery() does. A clause that
// CheckClauses() refuses grants nothing.
Clauses UniteSelector(const Clause& selector, const Clauses& clauses);

}  // namespace insula::promql
