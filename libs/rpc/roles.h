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

// Whether callers have a role for tenants: ROLE_WRITE, ROLE_READ, ROLE_RULES
// and ROLE_FEDERATE.
bool IsOfATenant(registry::v1::Role role);

// The field of the request that (insula.registry.v1.tenant_field) names; null
// if there is none.
const google::protobuf::FieldDescriptor* TenantField(
    const google::protobuf::MethodDescriptor& method);

// OK if every method of the services, named in full, has a role, the tenant
// fields that they name are strings, and each unary method with a role of a
// tenant has a request of its own, in its own file. The standard services of
// gRPC (health, reflection) are left out. FAILED_PRECONDITION names the method
// and the cure.
absl::Status CheckRoles(const std::vector<std::string>& services);

}  // namespace insula::rpc
