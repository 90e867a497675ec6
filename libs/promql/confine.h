// Confines an expression to the series of a tenant.
//
// The value of an expression depends on stored series through its vector
// selectors alone. When every selector holds the matchers of the tenant, the
// answer is the one of a server that stores nothing but the tenant's series.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/labels/matcher.h"
#include "libs/promql/ast.h"
#include "libs/promql/parser.h"

namespace insula::promql {

// The longest text that ConfineQuery() makes.
inline constexpr size_t kMaxConfinedBytes = size_t{1} << 20;

// The most selectors of a query. Its cost for servers grows with them.
inline constexpr size_t kMaxSelectors = 4096;

// Adds every matcher of `enforced` to every vector selector, wherever it
// stands. Nothing of the user's is replaced or dropped, so that matchers are a
// conjunction: asking for another tenant selects nothing. A matcher that is
// there already, to the letter, is not repeated.
//
// INVALID_ARGUMENT, with `expr` unchanged, if `enforced` is empty or holds a
// matcher that series without the label pass, or a label name that PromQL
// cannot write, or for CheckExplicitSelectors(). INTERNAL if the tree holds
// something unknown.
absl::Status Confine(Expr* expr, const std::vector<labels::Matcher>& enforced);

// OK if every vector selector in `expr` holds all of `enforced`; INTERNAL if
// not. The errors of Confine() otherwise.
absl::Status CheckConfined(const Expr& expr,
                           const std::vector<labels::Matcher>& enforced);

// INVALID_ARGUMENT, with the position in `query`, if `expr` selects series by
// other means than the selectors in it, as info() does. Confinement refuses it.
absl::Status CheckExplicitSelectors(const Expr& expr, absl::string_view query);

// INVALID_ARGUMENT if a query has more than kMaxSelectors.
absl::Status CheckSelectorLimit(size_t selectors);

// The text to send instead of `query`: parsed, confined and printed. The text
// is then parsed again and must have as many selectors, all confined, and print
// as itself; anything else is INTERNAL and nothing is to be sent. Errors of the
// user (INVALID_ARGUMENT), more than kMaxSelectors among them, give positions
// in `query` where there is one.
//
//   ConfineQuery("sum(up) / on() x[5m:]", {namespace="red"})
//     sum(up{namespace="red"}) / on () x{namespace="red"}[5m:]
absl::StatusOr<std::string> ConfineQuery(
    absl::string_view query, const std::vector<labels::Matcher>& enforced,
    const ParseOptions& options = {});

// The same of a query that was parsed with these options.
absl::StatusOr<std::string> ConfineParsed(
    absl::string_view query, ExprPtr expr,
    const std::vector<labels::Matcher>& enforced, const ParseOptions& options);

}  // namespace insula::promql
