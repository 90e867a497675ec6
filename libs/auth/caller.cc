#include "libs/auth/caller.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/auth/principal_facts.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::auth {
namespace {

namespace v1 = ::insula::registry::v1;
using tenancy::Binding;
using tenancy::Snapshot;
using tenancy::Tenant;
using tenancy::TenantId;

constexpr absl::string_view kTenantHeader = "X-Scope-OrgID";
constexpr absl::string_view kIdentityUrl = "insula/identity";

bool Writes(v1::Role role) {
  return role == v1::ROLE_WRITE || role == v1::ROLE_FEDERATE;
}

// The tenant `id`, if it is in a state that allows `role`.
absl::StatusOr<const Tenant*> FindUsableTenant(const Snapshot& snapshot,
                                               absl::string_view id,
                                               v1::Role role) {
  const Tenant* tenant = snapshot.FindTenant(id);
  if (tenant == nullptr) {
    return absl::PermissionDeniedError(
        absl::StrCat("tenant '", id,
                     "' does not exist: create it in the registry, or name "
                     "another one"));
  }
  if (!tenant->may_read()) {
    return absl::PermissionDeniedError(absl::StrCat(
        "tenant '", id, "' is suspended: ask an operator to set it active"));
  }
  if (Writes(role) && !tenant->may_write()) {
    return absl::PermissionDeniedError(absl::StrCat(
        "tenant '", id, "' is read-only: ask an operator to set it active"));
  }
  return tenant;
}

// The id of the tenant that a request with this binding is for. Empty: none.
absl::StatusOr<std::string> ChooseTenant(const Binding& binding,
                                         const std::optional<TenantId>& named,
                                         absl::string_view header,
                                         v1::Role role) {
  if (named.has_value()) {
    if (binding.MayActFor(named->value())) return named->value();
    return absl::PermissionDeniedError(
        absl::StrCat("binding '", binding.id, "' may not act for tenant '",
                     named->value(), "' that header ", header, " names"));
  }
  if (!IsOfATenant(role)) return std::string();
  if (binding.tenant_ids.size() == 1) return binding.tenant_ids[0].value();
  if (binding.tenant_ids.empty() && !binding.every_tenant) {
    return absl::PermissionDeniedError(
        absl::StrCat("binding '", binding.id, "' is of no tenant"));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "binding '", binding.id,
      "' may act for several tenants: name one in header ", header));
}

// Makes the caller one of `binding`.
absl::Status UseBinding(Caller* caller, const Binding& binding,
                        const std::optional<TenantId>& named,
                        absl::string_view header, v1::Role role,
                        absl::Time now) {
  if (now >= binding.not_after) {
    return absl::UnauthenticatedError(
        absl::StrCat("binding '", binding.id, "' expired at ",
                     absl::FormatTime(absl::RFC3339_sec, binding.not_after,
                                      absl::UTCTimeZone()),
                     ": renew it, or use another credential"));
  }
  caller->binding = &binding;
  caller->identity = absl::StrCat("binding/", binding.id);
  if (!binding.Has(role)) {
    return absl::PermissionDeniedError(
        absl::StrCat("binding '", binding.id, "' lacks ", v1::Role_Name(role),
                     ": add it in the registry"));
  }
  if (role == v1::ROLE_WRITE && !binding.claim_rule_id().empty()) {
    caller->claim_rule =
        caller->snapshot->FindClaimRule(binding.claim_rule_id());
    if (caller->claim_rule != nullptr) return absl::OkStatus();
    // Retried by the sender until an operator has mended it: nothing is lost.
    return absl::UnavailableError(
        absl::StrCat("claim rule '", binding.claim_rule_id(), "' of binding '",
                     binding.id, "' does not exist: create it"));
  }
  ASSIGN_OR_RETURN(const std::string id,
                   ChooseTenant(binding, named, header, role));
  if (id.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(caller->tenant,
                   FindUsableTenant(*caller->snapshot, id, role));
  return absl::OkStatus();
}

// Which of several bindings of a principal, the best first, a request is of.
absl::StatusOr<const Binding*> ChooseBinding(
    const std::vector<const Binding*>& bindings,
    const std::optional<TenantId>& named, absl::string_view header,
    v1::Role role, absl::Time now) {
  if (bindings.size() == 1) return bindings[0];
  std::vector<const Binding*> usable;
  for (const Binding* binding : bindings) {
    if (now < binding->not_after && binding->Has(role)) {
      usable.push_back(binding);
    }
  }
  if (usable.empty()) {
    return absl::PermissionDeniedError(
        absl::StrCat("none of the ", bindings.size(),
                     " bindings of this caller is valid and has ",
                     v1::Role_Name(role), ": add it in the registry"));
  }
  if (usable.size() == 1) return usable[0];
  for (const Binding* binding : usable) {
    if (role == v1::ROLE_WRITE && !binding->claim_rule_id().empty()) {
      return absl::PermissionDeniedError(absl::StrCat(
          "binding '", binding->id,
          "' has a claim rule, and is not the only one that this caller "
          "writes with: leave it one"));
    }
  }
  if (named.has_value()) {
    for (const Binding* binding : usable) {
      if (binding->MayActFor(named->value())) return binding;
    }
    return absl::PermissionDeniedError(absl::StrCat(
        "none of the ", usable.size(), " bindings of this caller with ",
        v1::Role_Name(role), " may act for tenant '", named->value(),
        "' that header ", header, " names"));
  }
  if (!IsOfATenant(role)) return usable[0];
  for (const Binding* binding : usable) {
    if (binding->every_tenant || binding->tenant_ids.size() != 1 ||
        binding->tenant_ids[0].value() != usable[0]->tenant_ids[0].value()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "this caller has ", usable.size(),
          " bindings and may act for several tenants: name one in header ",
          header));
    }
  }
  return usable[0];
}

}  // namespace

bool IsOfATenant(v1::Role role) {
  return role != v1::ROLE_OPERATOR && role != v1::ROLE_ADMIN;
}

bool Caller::MayActFor(absl::string_view tenant_id) const {
  if (tenant != nullptr) return tenant->id.value() == tenant_id;
  return binding != nullptr && binding->MayActFor(tenant_id);
}

absl::StatusOr<TenantId> ParseTenantHeader(absl::string_view value,
                                           absl::string_view name) {
  if (absl::StrContains(value, ',') || absl::StrContains(value, '|')) {
    return absl::InvalidArgumentError(
        absl::StrCat("header ", name,
                     " must name one tenant: lists by ',' or '|' are refused"));
  }
  absl::StatusOr<TenantId> id = TenantId::Parse(value);
  if (!id.ok()) return Annotate(id.status(), absl::StrCat("header ", name));
  return id;
}

absl::StatusOr<Caller> CallerOf(std::shared_ptr<const Snapshot> snapshot,
                                const Binding& binding,
                                const std::optional<TenantId>& named,
                                absl::string_view header, v1::Role role,
                                absl::Time now) {
  Caller caller;
  caller.snapshot = std::move(snapshot);
  const absl::Status used =
      UseBinding(&caller, binding, named, header, role, now);
  if (!used.ok()) {
    return WithIdentity(used, absl::StrCat("binding/", binding.id));
  }
  return caller;
}

std::string IdentityIn(const absl::Status& refusal) {
  const auto identity = refusal.GetPayload(kIdentityUrl);
  return identity.has_value() ? std::string(*identity) : "";
}

absl::Status WithIdentity(absl::Status status, absl::string_view identity) {
  if (!status.ok() && !status.GetPayload(kIdentityUrl).has_value()) {
    status.SetPayload(kIdentityUrl, absl::Cord(identity));
  }
  return status;
}

absl::StatusOr<Caller> CallerWithPrincipal(
    std::shared_ptr<const Snapshot> snapshot, const Principal& principal,
    const std::optional<TenantId>& named, absl::string_view header,
    v1::Role role, absl::Time now) {
  RETURN_IF_ERROR(CheckKnown(snapshot.get()));
  if (now >= principal.expires) {
    return absl::UnauthenticatedError(
        absl::StrCat("the credential expired at ",
                     absl::FormatTime(absl::RFC3339_sec, principal.expires,
                                      absl::UTCTimeZone()),
                     ": use a new one"));
  }
  const std::string proven =
      absl::StrCat(principal.method, " ", principal.name);
  const auto bindings = BindingsOf(*snapshot, principal);
  if (!bindings.ok()) return WithIdentity(bindings.status(), proven);
  const auto binding = ChooseBinding(*bindings, named, header, role, now);
  if (!binding.ok()) return WithIdentity(binding.status(), proven);
  return CallerOf(std::move(snapshot), **binding, named, header, role, now);
}

absl::StatusOr<std::optional<AccessQuestion>> QuestionAbout(
    const Caller& caller) {
  if (caller.binding == nullptr) return std::nullopt;
  const std::optional<v1::KubernetesAccess> access =
      AccessReviewOf(*caller.binding);
  if (!access.has_value()) return std::nullopt;
  if (caller.tenant == nullptr) {
    return absl::PermissionDeniedError(absl::StrCat(
        "binding '", caller.binding->id,
        "' needs an access review in the namespace of a tenant, and this "
        "request is of no one tenant"));
  }
  AccessQuestion question;
  question.namespace_name = caller.tenant->id.value();
  question.verb = access->verb();
  question.group = access->group();
  question.resource = access->resource();
  question.subresource = access->subresource();
  return question;
}

absl::StatusOr<Caller> CallerWithBinding(
    std::shared_ptr<const tenancy::Snapshot> snapshot,
    absl::string_view binding_id, absl::string_view tenant_id,
    registry::v1::Role role, absl::Time now) {
  RETURN_IF_ERROR(CheckKnown(snapshot.get()));
  const Binding* const binding = snapshot->FindBinding(binding_id);
  if (binding == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("there is no binding '",
                     absl::CHexEscape(binding_id.substr(0, 253)), "'"));
  }
  std::optional<TenantId> named;
  if (!tenant_id.empty()) {
    ASSIGN_OR_RETURN(named, ParseTenantHeader(tenant_id, kTenantHeader));
  }
  return CallerOf(std::move(snapshot), *binding, named, kTenantHeader, role,
                  now);
}

absl::StatusOr<Caller> CallerWithHeader(
    std::shared_ptr<const tenancy::Snapshot> snapshot,
    absl::string_view tenant_id, registry::v1::Role role) {
  RETURN_IF_ERROR(CheckKnown(snapshot.get()));
  Caller caller;
  caller.snapshot = std::move(snapshot);
  ASSIGN_OR_RETURN(const TenantId named,
                   ParseTenantHeader(tenant_id, kTenantHeader));
  caller.identity = absl::StrCat("header/", named.value());
  ASSIGN_OR_RETURN(caller.tenant,
                   FindUsableTenant(*caller.snapshot, named.value(), role));
  return caller;
}

absl::Status CheckKnown(const tenancy::Snapshot* snapshot) {
  if (snapshot != nullptr &&
      (!snapshot->epoch().empty() || snapshot->revision() != 0)) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(
      "tenants are not known yet: the tenant-registry has not been reached "
      "since the start, try again");
}

}  // namespace insula::auth
