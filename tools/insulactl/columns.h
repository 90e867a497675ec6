// Objects in tables.
#pragma once

#include <string>
#include <vector>

#include "insula/registry/v1/objects.pb.h"
#include "tools/insulactl/table.h"

namespace insula::insulactl {

namespace v1 = ::insula::registry::v1;

// What is told of the objects of a kind, their revision and source included.
Table TableOf(v1::Kind kind, const std::vector<v1::Object>& objects);

}  // namespace insula::insulactl
