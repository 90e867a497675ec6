// Matchers as parts of larger ones.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "libs/labels/matcher.h"

namespace insula::promql {

// Whether `matcher` says the same about `value` here and in every version of
// Prometheus. Regular expressions do for ASCII without line feeds: tables of
// Unicode differ, and `.` matches a line feed since version 3.
bool IsCertainOn(const labels::Matcher& matcher, absl::string_view value);

// Of what a matcher does not match.
labels::MatchType Negated(labels::MatchType type);
labels::Matcher Negation(const labels::Matcher& matcher);

// Whether JoinMatchers() takes it: `=` or `=~`, not matching the empty string,
// and of an expression whose end as a group is plain. It is not with `\Q`,
// which may run on behind the group, and classes like `[)]`.
bool IsMergeable(const labels::Matcher& matcher);

// What the expression of a joined matcher consists of: `a` and `b` for
// `=~"a|b"`, `x\\.y` for `="x.y"`, `(?:a.*)` for `=~"a.*"`. Sorted. An
// expression that is more than a list of plain values and groups is one part,
// as a group.
std::vector<std::string> Alternatives(const labels::Matcher& matcher);

// The matcher that passes what at least one of `parts` does, all of them
// mergeable and on one label: `=~"a|b|(?:c.*)"`. Nullopt if its expression
// would be too large.
std::optional<labels::Matcher> JoinMatchers(
    const std::vector<labels::Matcher>& parts);

}  // namespace insula::promql
