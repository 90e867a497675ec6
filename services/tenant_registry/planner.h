// The question whether a change may be made, and what it comes to.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "insula/registry/v1/registry.pb.h"
#include "services/tenant_registry/draft.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {

// In whose name something is changed, beside "file:PATH".
inline constexpr char kApiSource[] = "api";
inline constexpr char kKubernetesSource[] = "kubernetes";
inline constexpr char kLeaseSource[] = "lease";  // Alone has Instances.
// What follows by itself: may change the objects of every source, which stay
// those of that source.
inline constexpr char kRegistrySource[] = "registry";

// An Apply, and who asks for it.
struct ApplyCommand {
  v1::ApplyRequest request;
  std::string source = kApiSource;
  std::string actor;  // Goes into meta.updated_by and the audit.
};

struct PlanOptions {
  absl::Time now;
  absl::Duration deletion_grace;  // Of a tenant that comes to be DELETING.
  // Whether the change tells what former tenants were known by in stores.
  bool retire_identities = true;
};

struct Plan {
  Change change;                   // No items: nothing is to be done.
  std::vector<AuditRecord> audit;  // One for each item.
};

// Checks a request by itself: its size and its objects. Cheap, whatever it is.
absl::Status CheckRequest(const v1::ApplyRequest& request);

// Checks a request by itself and against the objects of `draft`, and returns
// what it changes at the next revision. Errors as of TenantRegistry.Apply.
absl::StatusOr<Plan> PlanApply(const Draft& draft, const ApplyCommand& command,
                               const PlanOptions& options);

}  // namespace insula::tenant_registry
