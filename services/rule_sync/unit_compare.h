// Compares what a place must have with what it had to have, and with what is
// there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>

#include "services/rule_sync/desired.h"
#include "services/rule_sync/target.h"

namespace insula::rule_sync {

// Those of `present` that are gone from the directory of a tenant that is still
// there, and that was read as a whole.
size_t CountVanishing(const DesiredUnit& desired,
                      const std::set<GroupKey>& present);

// All groups that must be there.
int64_t CountGroups(const DesiredUnit& desired);

// Whether both say the same. Files are the same if they are one object.
bool Same(const DesiredUnit& a, const DesiredUnit& b);

}  // namespace insula::rule_sync
