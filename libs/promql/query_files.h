// Finds the PromQL expressions in files of tests.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace insula::promql {

struct FileQuery {
  int line = 0;  // From 1.
  std::string text;
};

// The expressions of the `eval` statements in `text`, which is in the language
// of Prometheus' evaluation tests: `eval instant at 5m EXPR`, `eval_fail
// instant at 0 EXPR`, `eval range from 0 to 10m step 1m EXPR`. Everything else
// is passed over, and so is an `eval` that is none of these.
std::vector<FileQuery> QueriesOfEvaluationTest(absl::string_view text);

}  // namespace insula::promql
