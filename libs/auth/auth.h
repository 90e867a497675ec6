// Who sends a request, and for which tenant may it act?
//
//   ASSIGN_OR_RETURN(const auth::Caller caller,
//                    auth::Authenticate(request, listener.auth,
//                                       registry.snapshot(), v1::ROLE_READ,
//                                       clock.Now()));
//   const tenancy::Tenant& tenant = *caller.tenant;
//
// A request proves who it is in exactly one way: a bearer token that a binding
// of the registry names, or, on listeners that say so, a header which a proxy
// in front has set after its own authentication.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/config/config.h"
#include "libs/http/message.h"
#include "libs/tenancy/snapshot.h"

namespace insula::auth {

// What a listener accepts as proof of identity.
struct ListenerAuth {
  bool bearer = true;
  // The header whose value is the tenant id. Empty: no header is trusted.
  std::string trusted_header;
  // The peers that may set it: IP addresses, or networks as 10.1.0.0/16.
  std::vector<std::string> trusted_addresses = {"127.0.0.1", "::1"};

  void Describe(config::Fields& fields);
  // INVALID_ARGUMENT if nobody could get in, if everybody is trusted, and for
  // what is no header name or no address.
  absl::Status Validate() const;
};

// An authenticated caller. Copyable; the pointers live as long as `snapshot`.
struct Caller {
  std::shared_ptr<const tenancy::Snapshot> snapshot;
  // Null if a trusted header said who it is.
  const tenancy::Binding* binding = nullptr;
  // The one tenant acted for. Null if a claim rule decides for each series, and
  // for the roles that are not of a tenant, ROLE_OPERATOR and ROLE_ADMIN.
  const tenancy::Tenant* tenant = nullptr;
  // Set for ROLE_WRITE of a binding with a claim rule.
  const tenancy::ClaimRule* claim_rule = nullptr;
  // The same for each request of the same caller: "binding/ID" or "header/ID".
  // For logs and keys.
  std::string identity;

  // Whether this request may concern that tenant: the one acted for, or with a
  // claim rule those of the binding. Says nothing about the tenant's state.
  bool MayActFor(absl::string_view tenant_id) const;
};

// Authenticates `request` and checks that the caller has `role`.
//
// The caller's tenant is that of the trusted header, or the only one of the
// token's binding. With a token, a tenant header (the trusted one, otherwise
// X-Scope-OrgID) chooses among the tenants of the binding and grants nothing;
// it has no effect where a claim rule decides.
//
//   UNAUTHENTICATED    no credential, or one that is unknown or expired
//   PERMISSION_DENIED  a header from a peer that is not trusted; a role or
//                      tenant that the caller does not have; a tenant that
//                      does not exist, is suspended, or is read-only and would
//                      be written to
//   INVALID_ARGUMENT   a credential or tenant header that comes twice, is
//                      spelled with underscores or is no tenant id; a choice of
//                      several tenants that was not made
//   UNAVAILABLE        nothing is known of the registry yet
//
// Messages name tenant and cure, and never contain a token.
absl::StatusOr<Caller> Authenticate(
    const http::Request& request, const ListenerAuth& listener,
    std::shared_ptr<const tenancy::Snapshot> snapshot, registry::v1::Role role,
    absl::Time now);

// What Authenticate does once the proof is there, for those who explain what it
// would say. UNAVAILABLE if nothing is known of the registry yet.
//
// Of a token of `binding_id`, with a header that names `tenant_id` if that is
// not empty. NOT_FOUND if there is no such binding, else as Authenticate.
absl::StatusOr<Caller> CallerWithBinding(
    std::shared_ptr<const tenancy::Snapshot> snapshot,
    absl::string_view binding_id, absl::string_view tenant_id,
    registry::v1::Role role, absl::Time now);
// Of a trusted header that names `tenant_id`.
absl::StatusOr<Caller> CallerWithHeader(
    std::shared_ptr<const tenancy::Snapshot> snapshot,
    absl::string_view tenant_id, registry::v1::Role role);

// OK if something is known of the registry, else UNAVAILABLE.
absl::Status CheckKnown(const tenancy::Snapshot* snapshot);

}  // namespace insula::auth
