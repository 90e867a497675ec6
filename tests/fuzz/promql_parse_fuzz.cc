// Whatever is parsed, of any dialect, prints as text that parses to the same.

#include <cstddef>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/labels/validity.h"
#include "libs/promql/clone.h"
#include "libs/promql/dialect.h"
#include "libs/promql/parser.h"
#include "libs/promql/pretty.h"
#include "libs/promql/printer.h"
#include "libs/promql/tree_json.h"
#include "libs/promql/visit.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

// What one run may cost is kept low: what is looked for is not slow.
promql::ParseOptions Options(const promql::Dialect& dialect) {
  return {.max_bytes = 16 << 10, .max_regex_cost = 8 << 10, .dialect = dialect};
}

// Printing adds parentheses, blanks and escapes.
promql::ParseOptions Again(const promql::Dialect& dialect) {
  return {.max_bytes = 1 << 20,
          .max_tokens = std::numeric_limits<size_t>::max(),
          .max_depth = 1000,
          .max_regex_cost = std::numeric_limits<size_t>::max(),
          .dialect = dialect};
}

void CheckRefusal(const absl::Status& status) {
  FUZZ_CHECK(status.code() == absl::StatusCode::kInvalidArgument,
             status.ToString());
}

// A copy is the same, and so is the expression over several lines.
void CheckOtherForms(const promql::Expr& expr, const std::string& printed,
                     const promql::Dialect& dialect) {
  size_t budget = size_t{16} << 20;
  const promql::ExprPtr copy = promql::Clone(expr, &budget);
  FUZZ_CHECK(copy != nullptr && promql::Print(*copy) == printed, printed);
  const auto pretty = promql::PrettyPrint(expr);
  if (pretty.ok()) {
    const auto again = promql::Parse(*pretty, Again(dialect));
    FUZZ_CHECK(again.ok(),
               absl::StrCat(*pretty, "\n", again.status().ToString()));
    FUZZ_CHECK(promql::Print(**again) == printed, *pretty);
  }
  const std::string json = promql::TreeJson(expr);
  FUZZ_CHECK(labels::IsValidUtf8(json), json);
}

void CheckExpression(absl::string_view text, const promql::Dialect& dialect) {
  const auto expr = promql::Parse(text, Options(dialect));
  if (!expr.ok()) return CheckRefusal(expr.status());
  const std::string printed = promql::Print(**expr);
  const auto again = promql::Parse(printed, Again(dialect));
  FUZZ_CHECK(again.ok(),
             absl::StrCat(printed, "\n", again.status().ToString()));
  FUZZ_CHECK(promql::Print(**again) == printed,
             absl::StrCat(printed, "\n", promql::Print(**again)));

  CheckOtherForms(**expr, printed, dialect);

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

void CheckSelector(absl::string_view text, const promql::Dialect& dialect) {
  const auto matchers = promql::ParseMetricSelector(text, Options(dialect));
  if (!matchers.ok()) return CheckRefusal(matchers.status());
  const std::string printed = promql::PrintSelector(*matchers);
  const auto again = promql::ParseMetricSelector(printed, Again(dialect));
  FUZZ_CHECK(again.ok(),
             absl::StrCat(printed, "\n", again.status().ToString()));
  FUZZ_CHECK(promql::PrintSelector(*again) == printed, printed);
}

FUZZ_TARGET(promql_parse) {
  for (const promql::Dialect& dialect :
       {promql::Dialect(), promql::NewestDialect()}) {
    CheckExpression(input, dialect);
    CheckSelector(input, dialect);
  }
}

}  // namespace
}  // namespace insula
