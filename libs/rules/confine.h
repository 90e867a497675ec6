// Confines rules to the series of a tenant.
//
// A rule reaches stored series in two ways: through the selectors of its
// expression, and through the function `query` of alert templates. It makes
// series and alerts, whose labels are those of the result, overlaid with the
// rule's own. So every selector gets the matchers of the tenant, every rule the
// labels of the tenant, and a template that names `query` is refused.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "libs/rules/group.h"
#include "libs/rules/problem.h"
#include "libs/rules/rule_file.h"

namespace insula::rules {

// OK if rules can be confined to these labels. INVALID_ARGUMENT if there are
// none, or one of them is not a label name, is `__name__` or `alertname` (an
// evaluator sets these itself), has no value, or has one that a template would
// change (`{{`).
absl::Status CheckEnforced(const Labels& enforced);

// Adds to every selector of every expression `name="value"` for each of
// `enforced`, whatever the selector has already (promql::ConfineQuery), and to
// the labels of every rule `enforced` itself. Names of records and alerts stay.
// Returns nothing then.
//
// Otherwise returns what is wrong, with the cure, and leaves the group as it
// was. Refused are a rule or a group that sets an enforced label to another
// value, and templates of alerts, in labels and annotations of the rule and in
// labels of the group, that call `query`, or that are no templates by
// template.h. `group_number` of the problems is 0.
std::vector<Problem> Confine(const Labels& enforced,
                             const ParseOptions& options, Group* group);

}  // namespace insula::rules
