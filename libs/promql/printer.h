// Writes expressions in the canonical form.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "libs/labels/matcher.h"
#include "libs/promql/ast.h"

namespace insula::promql {

// The text of `expr` as Prometheus 2.42 prints it: one line, matchers sorted,
// modifiers of aggregations in front. It parses to the same tree again, hence
// printing it once more changes nothing. Where Prometheus' own form would lose
// something it is kept: `ignoring () group_left ()`, `__name__=""`, `Inf ^ 2`,
// U+FFFD in strings.
std::string Print(const Expr& expr);

// Bytes [start, end) of what was printed.
struct Span {
  size_t start = 0;
  size_t end = 0;
};
using Spans = std::unordered_map<const Expr*, Span>;

// The same, and where in the text each node of the tree stands, but for the
// selectors in ranges.
std::string PrintWithSpans(const Expr& expr, Spans* spans);

// `{__name__="up",job="api"}`: the matchers in braces, sorted, the name among
// them. For `match[]`.
std::string PrintSelector(const std::vector<labels::Matcher>& matchers);

}  // namespace insula::promql
