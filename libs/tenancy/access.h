// What the selectors of an Access select.
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/labels/matcher.h"

namespace insula::tenancy {

// A conjunction: it selects the series that all of its matchers match. In the
// order of names, operators and values, none twice; an empty one selects every
// series.
using Clause = std::vector<labels::Matcher>;

// The most that the regular expressions of one Access may cost together, by
// labels/regex_cost.h: 26 ms.
inline constexpr size_t kMaxAccessRegexCost = size_t{128} << 10;

// Puts a clause into its order.
void Normalize(Clause* clause);

// Reads one of Access.selectors:
//
//   up              {__name__="up"}
//   node_.*         {__name__=~"node_.*"}; a regular expression is a text with
//                   one of . * + ? ^ $ [ ] ( ) | \ and no braces. It matches
//                   whole names and is compiled alone, so that no parenthesis
//                   in it can reach what stands around it.
//   up{job="a,b"}   {__name__="up",job="a,b"}; all texts with braces are read
//   {job!~"a|b"}    by the parser of PromQL
//
// INVALID_ARGUMENT, with the cure, for what is neither, for expressions that
// cost more than `max_regex_cost`, and for a selector that excludes no series:
// one of its matchers must not match the empty string.
absl::StatusOr<Clause> ParseAccessSelector(
    absl::string_view text, size_t max_regex_cost = kMaxAccessRegexCost);

// Reads a selector of series by the parser of PromQL: `up`, `up{job="a"}`,
// `{job!~"a|b"}`. INVALID_ARGUMENT as above.
absl::StatusOr<Clause> ParseSeriesSelector(
    absl::string_view text, size_t max_regex_cost = kMaxAccessRegexCost);

// All of them, in their order. INVALID_ARGUMENT: "spec.selectors[2]: ...".
// Bounds their number, their length and what they cost.
absl::StatusOr<std::vector<Clause>> ParseAccessSelectors(
    const registry::v1::Access& access);

// The clauses of one Access, parsed when somebody wants them: most followers
// never do. Thread-safe.
class LazySelectors {
 public:
  // Of `access`, always the same one, which CheckObject() has let pass.
  const std::vector<Clause>& Get(const registry::v1::Access& access) const;

 private:
  mutable std::once_flag parsed_;
  mutable std::vector<Clause> clauses_;
};

}  // namespace insula::tenancy
