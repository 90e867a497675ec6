// Who sends a request, and for which tenant may it act: what can be said at
// once. See authenticator.h for credentials that a third party must be asked
// about.
//
//   ASSIGN_OR_RETURN(const auth::Caller caller,
//                    auth::Authenticate(request, listener.auth,
//                                       registry.snapshot(), v1::ROLE_READ,
//                                       clock.Now()));
//   const tenancy::Tenant& tenant = *caller.tenant;
//
// A request proves who it is in exactly one way: by a credential that the
// listener accepts and a binding of the registry names, or, on listeners that
// say so, by a header which a proxy in front has set after its own
// authentication.
#pragma once

#include <memory>
#include <optional>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/auth/caller.h"
#include "libs/auth/listener_auth.h"
#include "libs/auth/verifier.h"
#include "libs/http/message.h"
#include "libs/tenancy/snapshot.h"

namespace insula::auth {

// Authenticates `request` and checks that the caller has `role`, or returns the
// credential that a Verifier must be asked about.
//
// The caller's tenant is that of the trusted header, or the only one of its
// binding. With a credential, a tenant header (the trusted one, otherwise
// X-Scope-OrgID) chooses among the tenants of the binding and grants nothing;
// it has no effect where a claim rule decides.
//
//   UNAUTHENTICATED    no credential, or one that is unknown or expired
//   PERMISSION_DENIED  a header from a peer that is not trusted; a role or
//                      tenant that the caller does not have; a tenant that
//                      does not exist, is suspended, or is read-only and would
//                      be written to
//   INVALID_ARGUMENT   several credentials; a credential or tenant header that
//                      comes twice, is spelled with underscores or is no tenant
//                      id; a choice of several tenants that was not made
//   UNAVAILABLE        nothing is known of the registry yet
//
// Messages name tenant and cure, and never contain a credential.
std::variant<absl::StatusOr<Caller>, Credential> AuthenticateNow(
    const http::Request& request, const ListenerAuth& listener,
    std::shared_ptr<const tenancy::Snapshot> snapshot, registry::v1::Role role,
    absl::Time now);

// The same for listeners without verifiers: UNAUTHENTICATED for a credential
// that one would have to be asked about.
absl::StatusOr<Caller> Authenticate(
    const http::Request& request, const ListenerAuth& listener,
    std::shared_ptr<const tenancy::Snapshot> snapshot, registry::v1::Role role,
    absl::Time now);

}  // namespace insula::auth
