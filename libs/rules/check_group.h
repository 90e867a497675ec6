// Prometheus' checks of what a group says.
#pragma once

#include <cstddef>

#include "libs/rules/group.h"
#include "libs/rules/reporter.h"
#include "libs/rules/rule_file.h"

namespace insula::rules::internal {

// Reports what is wrong with a group, the `number`-th of its file, besides its
// place among others. Takes what its regular expressions cost off
// `regex_cost_left`; a rule for which nothing is left is an error.
void CheckGroup(const Group& group, int number, const ParseOptions& options,
                size_t* regex_cost_left, Reporter* reporter);

}  // namespace insula::rules::internal
