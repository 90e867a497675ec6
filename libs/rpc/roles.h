// The roles that callers of methods need, as the protos say.
#pragma once

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "insula/registry/v1/objects.pb.h"

namespace insula::rpc {

// The role that (insula.registry.v1.required_role) names; ROLE_UNSPECIFIED if
// it is missing or none that is known.
registry::v1::Role RequiredRole(
    const google::protobuf::MethodDescriptor& method);

// OK if every method of the services, named in full, has a role. The standard
// services of gRPC (health, reflection) are left out. FAILED_PRECONDITION names
// a method that has none.
absl::Status CheckRoles(const std::vector<std::string>& services);

}  // namespace insula::rpc
