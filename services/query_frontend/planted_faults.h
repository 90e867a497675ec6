// What stands in libs/promql/planted_faults.h, for the binary with faults: it
// alone is built with INSULA_PLANT_FAULTS, and no other may link them.
#pragma once

#ifdef INSULA_PLANT_FAULTS

#include <string>

#include "absl/strings/string_view.h"
#include "libs/promql/clause_union.h"

namespace insula::promql {

bool IsPlanted(absl::string_view fault);
std::string WithoutPolicy(const std::string& query, const Clauses& clauses);

}  // namespace insula::promql

#endif
