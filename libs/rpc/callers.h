// Who may call which method of a server with mutual TLS.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/rpc/identity.h"

namespace insula::rpc {

struct CallerRules {
  std::string trust_domain;  // Of the server; callers are of it too.
  // SPIFFE ids that may call everything.
  std::vector<std::string> admins;
};

// The roles that `caller` has: a service of Insula is an OPERATOR, admins have
// every role, others none.
std::vector<registry::v1::Role> RolesOf(const Identity& caller,
                                        const CallerRules& rules);

// Whether a caller whose certificate has these URIs may call the method of that
// path ("/insula.registry.v1.TenantRegistry/Apply"), by the role that the proto
// asks for (roles.h). PERMISSION_DENIED names the caller, the role and what to
// do. Health and reflection are for whoever has a certificate of the CA;
// methods that are not known are left to the server, which has none.
absl::Status CheckCaller(const std::vector<std::string>& uris,
                         absl::string_view path, const CallerRules& rules);

}  // namespace insula::rpc
