// Who a request is of, and for which tenant it may act: what bindings make of a
// proven identity.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/auth/verifier.h"
#include "libs/tenancy/snapshot.h"
#include "libs/tenancy/tenant_id.h"

namespace insula::auth {

// An authenticated caller. Copyable; the pointers live as long as `snapshot`.
struct Caller {
  std::shared_ptr<const tenancy::Snapshot> snapshot;
  // Null if a trusted header said which tenant it is.
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

// What the functions below say of a caller whose proof is there:
//
//   UNAUTHENTICATED    its binding or its proof has expired
//   PERMISSION_DENIED  no binding names it; a role or tenant that it does not
//                      have; a tenant that does not exist, is suspended, or is
//                      read-only and would be written to
//   INVALID_ARGUMENT   a choice of several tenants that was not made
//   UNAVAILABLE        nothing is known of the registry yet
//
// `named` is the tenant that the request names in header `header`.

// With the fact of a binding of `snapshot`.
absl::StatusOr<Caller> CallerOf(
    std::shared_ptr<const tenancy::Snapshot> snapshot,
    const tenancy::Binding& binding,
    const std::optional<tenancy::TenantId>& named, absl::string_view header,
    registry::v1::Role role, absl::Time now);

// Of a principal, for which several bindings may stand: of those that have
// `role` and may act for the tenant named, that with the least id, those last
// that need an access review. Without a name all must be of the same tenant. A
// binding with a claim rule does not share its writers with others.
absl::StatusOr<Caller> CallerWithPrincipal(
    std::shared_ptr<const tenancy::Snapshot> snapshot,
    const Principal& principal, const std::optional<tenancy::TenantId>& named,
    absl::string_view header, registry::v1::Role role, absl::Time now);

// What must be asked about a caller of an AccessReviewer; nothing for most.
// PERMISSION_DENIED if it acts for no one tenant, and so in no one namespace.
absl::StatusOr<std::optional<AccessQuestion>> QuestionAbout(
    const Caller& caller);

// Of a token of `binding_id`, with a header that names `tenant_id` if that is
// not empty: for those who explain what Authenticate would say. NOT_FOUND if
// there is no such binding.
absl::StatusOr<Caller> CallerWithBinding(
    std::shared_ptr<const tenancy::Snapshot> snapshot,
    absl::string_view binding_id, absl::string_view tenant_id,
    registry::v1::Role role, absl::Time now);
// Of a trusted header that names `tenant_id`.
absl::StatusOr<Caller> CallerWithHeader(
    std::shared_ptr<const tenancy::Snapshot> snapshot,
    absl::string_view tenant_id, registry::v1::Role role);

// The tenant that the value of header `name` stands for. INVALID_ARGUMENT for
// lists and what is no tenant id.
absl::StatusOr<tenancy::TenantId> ParseTenantHeader(absl::string_view value,
                                                    absl::string_view name);

// Who was proven to have sent what `refusal`, an error of the functions above,
// refuses: "binding/ID", or "METHOD NAME" of a principal. Empty if nobody was.
// For audits.
std::string IdentityIn(const absl::Status& refusal);

// `status` with `identity` for IdentityIn(), unless it is OK or has one.
absl::Status WithIdentity(absl::Status status, absl::string_view identity);

// OK if something is known of the registry, else UNAVAILABLE.
absl::Status CheckKnown(const tenancy::Snapshot* snapshot);

// Whether a role concerns tenants: all but ROLE_OPERATOR and ROLE_ADMIN.
bool IsOfATenant(registry::v1::Role role);

}  // namespace insula::auth
