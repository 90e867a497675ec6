// What must be done so that the registry holds what a resource file says.
#pragma once

#include <string>
#include <vector>

#include "insula/registry/v1/registry.pb.h"
#include "libs/resources/resource_file.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {

// One operation, and the place in the file that asks for it.
struct SourceOperation {
  v1::Operation operation;
  std::string where;
  std::string error;  // Why it was refused, last time.
};

struct SourcePlan {
  // Puts in the order of their dependencies, then deletions in the reverse one.
  std::vector<SourceOperation> operations;
  // Deletions left out, since there are too many to be meant.
  size_t held_deletions = 0;
};

// `present`: the objects that the file's source keeps now. Objects that the
// file no longer names are deleted if all of it could be read; but if they are
// more than 10 and more than `max_deletion_percent` of those present, none is.
SourcePlan PlanSource(const resources::ResourceFile& file,
                      absl::string_view name,
                      const std::vector<ObjectPtr>& present,
                      int max_deletion_percent);

}  // namespace insula::tenant_registry
