// Reads PromQL: the grammar of Prometheus 2.42, all of it and no more, or that
// of another dialect.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/labels/matcher.h"
#include "libs/promql/ast.h"
#include "libs/promql/dialect.h"

namespace insula::promql {

// What a text may cost. A text beyond a limit is refused before the memory for
// it is taken.
struct ParseOptions {
  size_t max_bytes = 256 << 10;
  size_t max_tokens = 64 << 10;

  // How deep parentheses, arguments, signs, powers (which group to the right)
  // and subqueries may nest, all counted together. Chains like `a+b+c` do not
  // nest. It keeps servers that recurse from harm; nothing here does.
  int max_depth = 256;

  // What all regular expressions together may cost, by labels/regex_cost.h:
  // 0.1 s. A list of names costs twice its length.
  size_t max_regex_cost = 512 << 10;

  // What the server that will get the expression understands.
  Dialect dialect = {};
};

// Parses and type-checks an expression. Everything that is wrong is
// INVALID_ARGUMENT, with the place (line and byte, from 1) and mostly the words
// that Prometheus uses: `1:5: parse error: unexpected identifier "b"`.
//
// Three things that Prometheus 2.42 takes are refused: times behind `@` beyond
// 2^53 milliseconds, which it does not keep exactly, and expressions over the
// limits. Regular expressions are those of RE2; see labels::Matcher. Of other
// dialects, durations below 1 ms and empty names are refused as well.
//
// Takes time linear in the text, and the same stack for any nesting.
absl::StatusOr<ExprPtr> Parse(absl::string_view text,
                              const ParseOptions& options = {});

// Parses one selector without modifiers, as `match[]` has it: `up`,
// `{job="api"}`, `up{job="api"}`. The name becomes the last matcher. A selector
// that excludes nothing (`{}`) is accepted; callers decide about it.
absl::StatusOr<std::vector<labels::Matcher>> ParseMetricSelector(
    absl::string_view text, const ParseOptions& options = {});

}  // namespace insula::promql
