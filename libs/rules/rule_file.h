// Reads and validates rule files of Prometheus.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "libs/promql/parser.h"
#include "libs/rules/dialect.h"
#include "libs/rules/group.h"
#include "libs/rules/problem.h"

namespace insula::rules {

// What is accepted, and what a file may cost. A file beyond a limit is refused
// before the memory for it is taken.
struct ParseOptions {
  Dialect dialect = kPrometheus242;

  size_t max_bytes = 1 << 20;
  size_t max_groups = 1000;
  size_t max_rules = 5000;    // In one group; more keep that group out.
  size_t max_nodes = 200000;  // YAML values, those behind aliases each time.

  promql::ParseOptions promql = {};  // For each expression.

  // What the regular expressions of all rules together may cost, by
  // labels/regex_cost.h: 0.8 s.
  size_t max_regex_cost = size_t{4} << 20;
};

struct ParsedFile {
  // The groups without an error, in the order of the file.
  std::vector<Group> groups;

  // In the order of the file; at most 1,000, the last of which says so.
  std::vector<Problem> problems;

  // Whether the file would be taken as a whole: nothing in `problems` is an
  // error. This is promtool's verdict.
  bool ok() const;
};

// Reads a rule file and makes all of Prometheus' checks: types, unknown and
// repeated keys, names, durations, expressions (with promql::Parse), templates.
// A group with an error is kept out and the others go on. Errors of the file as
// a whole keep out all: YAML that is none, unknown keys beside `groups`,
// limits. Of several groups of one name only the first is kept. Rules that are
// there twice, and documents behind the first, which nobody reads, are
// warnings.
//
// Aliases and merge keys (`<<`) are followed, `max_nodes` bounds them. Where
// versions of Prometheus differ about YAML the newer one is followed: an alias
// in `expr` means the expression, and null means that the key is not there.
// Refused, although Prometheus takes them: an empty document before another,
// tags other than those of strings, lists and maps, directives (`%`), keys that
// are null, fractions in `limit`, characters that only some readers of YAML
// take for line ends, more than 100 levels of nesting.
// tests/rule_files/different/ has them all.
//
// Never fails otherwise. Takes time linear in the text, besides its limits.
ParsedFile Parse(absl::string_view text, const ParseOptions& options = {});

}  // namespace insula::rules
