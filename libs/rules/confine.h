// Confines rules to what a tenant may read.
//
// A rule reaches stored series in two ways: through the selectors of its
// expression, and through the function `query` of alert templates. It makes
// series and alerts, whose labels are those of the result, overlaid with the
// rule's own. So every selector is confined to what the tenant reads, every
// rule gets the labels of the tenant, and a template that names `query` is
// refused.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/promql/clause_union.h"
#include "libs/rules/group.h"
#include "libs/rules/problem.h"
#include "libs/rules/rule_file.h"

namespace insula::rules {

// OK if rules can be confined to these labels. INVALID_ARGUMENT if there are
// none, or one of them is not a label name, is `__name__` or `alertname` (an
// evaluator sets these itself), has no value, or has one that a template would
// change (`{{`).
absl::Status CheckEnforced(const Labels& enforced);

struct Confinement {
  // What rules make gets them. None only where an evaluator keeps tenants apart
  // by other means.
  Labels labels;
  // What expressions read: series that pass one of these clauses. At least one.
  promql::Clauses reads;

  friend bool operator==(const Confinement&, const Confinement&) = default;
};

// To a tenant's own series: what it makes gets `enforced`, and what it reads
// has them. INVALID_ARGUMENT by CheckEnforced().
absl::StatusOr<Confinement> ConfinementTo(const Labels& enforced);

// Confines every expression to `confinement.reads`, whatever it asks for itself
// (promql::ConfineQueryToUnion), and adds to the labels of every rule
// `confinement.labels`. Names of records and alerts stay. Returns nothing then.
//
// Otherwise returns what is wrong, with the cure, and leaves the group as it
// was. Refused are an expression that can't be confined to several clauses; a
// rule or a group that sets one of the labels to another value; and templates
// of alerts, in labels and annotations of the rule and in labels of the group,
// that call `query`, or that are no templates by template.h. `group_number` of
// the problems is 0.
std::vector<Problem> Confine(const Confinement& confinement,
                             const ParseOptions& options, Group* group);
std::vector<Problem> Confine(const Labels& enforced,
                             const ParseOptions& options, Group* group);

// Whether `group` holds what Confine() would have made of some group, or less:
// every selector is covered by the clauses, every rule has the labels, and no
// template reads series. Errs on the side of false.
bool IsConfined(const Confinement& confinement, const ParseOptions& options,
                const Group& group);

}  // namespace insula::rules
