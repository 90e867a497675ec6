// Whether the PromQL expressions in files are ones.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/promql/parser.h"

namespace insula::insulactl {

inline constexpr size_t kMaxQueryFileBytes = size_t{64} << 20;

struct QueryReport {
  size_t found = 0;
  size_t accepted = 0;
  std::vector<std::string> refused;  // "file:line: what: the expression"
};

// Adds the expressions of the file `name` with the bytes `text`. What the file
// is shows by its name:
// - *.test: an evaluation test of Prometheus; the expressions of `eval`;
// - *.yaml, *.yml, *.rules: a rule file; the values of `expr`;
// - others: an expression on each line, but for blank ones and those that begin
//   with `#`.
// INVALID_ARGUMENT: it is too large, or no YAML.
absl::Status CheckQueries(absl::string_view name, absl::string_view text,
                          const promql::ParseOptions& options,
                          QueryReport* report);

// Whether a directory's file of that name is looked at.
bool IsQueryFile(absl::string_view name);

}  // namespace insula::insulactl
