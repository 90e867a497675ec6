// Whatever is parsed prints as text that parses to the same.

#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/promql/parser.h"
#include "libs/promql/printer.h"
#include "libs/promql/visit.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

// What one run may cost is kept low: what is looked for is not slow.
constexpr promql::ParseOptions kOptions = {.max_bytes = 16 << 10,
                                           .max_regex_cost = 8 << 10};
// Printing adds parentheses, blanks and escapes.
constexpr promql::ParseOptions kAgain = {
    .max_bytes = 1 << 20,
    .max_tokens = std::numeric_limits<size_t>::max(),
    .max_depth = 1000,
    .max_regex_cost = std::numeric_limits<size_t>::max()};

void CheckRefusal(const absl::Status& status) {
  FUZZ_CHECK(status.code() == absl::StatusCode::kInvalidArgument,
             status.ToString());
}

void CheckExpression(absl::string_view text) {
  const auto expr = promql::Parse(text, kOptions);
  if (!expr.ok()) return CheckRefusal(expr.status());
  const std::string printed = promql::Print(**expr);
  const auto again = promql::Parse(printed, kAgain);
  FUZZ_CHECK(again.ok(),
             absl::StrCat(printed, "\n", again.status().ToString()));
  FUZZ_CHECK(promql::Print(**again) == printed,
             absl::StrCat(printed, "\n", promql::Print(**again)));

  const auto selectors = promql::Selectors(**expr);
  const auto selectors_again = promql::Selectors(**again);
  FUZZ_CHECK(selectors.ok() && selectors_again.ok(), printed);
  FUZZ_CHECK(selectors->size() == selectors_again->size(), printed);
  for (size_t i = 0; i < selectors->size(); ++i) {
    FUZZ_CHECK(promql::PrintSelector((*selectors)[i]->matchers) ==
                   promql::PrintSelector((*selectors_again)[i]->matchers),
               printed);
  }
}

void CheckSelector(absl::string_view text) {
  const auto matchers = promql::ParseMetricSelector(text, kOptions);
  if (!matchers.ok()) return CheckRefusal(matchers.status());
  const std::string printed = promql::PrintSelector(*matchers);
  const auto again = promql::ParseMetricSelector(printed, kAgain);
  FUZZ_CHECK(again.ok(),
             absl::StrCat(printed, "\n", again.status().ToString()));
  FUZZ_CHECK(promql::PrintSelector(*again) == printed, printed);
}

FUZZ_TARGET(promql_parse) {
  CheckExpression(input);
  CheckSelector(input);
}

}  // namespace
}  // namespace insula
