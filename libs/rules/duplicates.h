// Rules that are there twice.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "libs/rules/group.h"
#include "libs/rules/problem.h"

namespace insula::rules {

// A warning for each rule that has the name and the labels (those of its group
// included) of an earlier one, which it names: they would write the same
// series. In the order of `groups`; group numbers count in it.
std::vector<Problem> FindDuplicates(absl::Span<const Group> groups);

}  // namespace insula::rules
