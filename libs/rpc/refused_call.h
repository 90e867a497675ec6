// What is told of a call that was refused.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "libs/audit/audit_log.h"

namespace insula::rpc {

// Nothing that the call only claims.
struct RefusedCall {
  absl::StatusCode code = absl::StatusCode::kPermissionDenied;
  std::string caller;      // As its certificate says; may be empty.
  std::string method;      // "insula.registry.v1.TenantRegistry.Apply"; empty
                           // if there is no such method.
  std::string request_id;  // Its x-request-id, if that is sane.
};

// Called on gRPC's threads, and must not block.
using OnRefused = std::function<void(const RefusedCall&)>;

// The one that writes refusals to `log`, which outlives it. Null: none.
OnRefused AuditRefusals(audit::AuditLog* log);

}  // namespace insula::rpc
