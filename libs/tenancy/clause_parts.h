// Puts alternatives into few clauses, for read_policy_compiler.cc.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "libs/tenancy/access.h"

namespace insula::tenancy {

// Clauses of one matcher each whose union is: the label has one of `values`,
// none of which is empty.
std::vector<Clause> OneOf(absl::string_view label,
                          std::vector<std::string> values);

// Fewer clauses with the same union: those which differ in one matcher, `=` or
// `=~` on one label, become one. Expressions that match the empty string, or
// could reach out of a group, stay as they are. For clauses in their order.
std::vector<Clause> UniteClauses(std::vector<Clause> clauses);

// Both together. False if no series can pass both.
bool Conjoin(const Clause& more, Clause* clause);

}  // namespace insula::tenancy
