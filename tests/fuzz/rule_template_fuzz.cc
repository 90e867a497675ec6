// Templates of alerts: a template that may call `query` says so.

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "libs/rules/dialect.h"
#include "libs/rules/template.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

FUZZ_TARGET(rule_template) {
  for (const rules::Dialect& dialect :
       {rules::kPrometheus242, rules::kPrometheus3}) {
    const auto use = rules::ParseTemplate(input, dialect);
    if (!use.ok()) {
      FUZZ_CHECK(use.status().code() == absl::StatusCode::kInvalidArgument,
                 use.status().ToString());
      continue;
    }
    FUZZ_CHECK(std::is_sorted(use->functions.begin(), use->functions.end()),
               input);
    // Whoever names a function has its letters in the text.
    for (const std::string& function : use->functions) {
      FUZZ_CHECK(absl::StrContains(input, function), function);
    }
    if (!absl::StrContains(input, "{{")) {
      FUZZ_CHECK(use->functions.empty(), input);
    }
  }
}

}  // namespace
}  // namespace insula
