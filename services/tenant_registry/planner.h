// The question whether a change may be made, and what it comes to.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "insula/registry/v1/registry.pb.h"
#include "services/tenant_registry/draft.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {

// An Apply, and who asks for it.
struct ApplyCommand {
  v1::ApplyRequest request;
  std::string source = "api";  // Or "file:PATH".
  std::string actor;           // Goes into meta.updated_by and the audit.
};

struct Plan {
  Change change;                   // No items: nothing is to be done.
  std::vector<AuditRecord> audit;  // One for each item.
};

// Checks a request against the objects of `draft`, and returns what it changes
// at the next revision. Errors as of TenantRegistry.Apply.
absl::StatusOr<Plan> PlanApply(const Draft& draft, const ApplyCommand& command,
                               absl::Time now);

}  // namespace insula::tenant_registry
