#include "libs/rules/problem.h"

#include "absl/strings/str_cat.h"
#include "libs/promql/quote.h"

namespace insula::rules {

std::string Problem::ToString() const {
  std::string text;
  if (position.line > 0) {
    absl::StrAppend(&text, position.line, ":", position.column, ": ");
  }
  if (group_number > 0 || !group.empty()) {
    absl::StrAppend(&text, "group ", promql::Quoted(group));
    if (rule > 0) {
      absl::StrAppend(&text, ", rule ", rule, ", ", promql::Quoted(rule_name));
    }
    absl::StrAppend(&text, ": ");
  }
  absl::StrAppend(&text, message);
  return text;
}

}  // namespace insula::rules
