#include "libs/auth/auth.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "libs/auth/address_set.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::auth {
namespace {

namespace v1 = ::insula::registry::v1;
using tenancy::Binding;
using tenancy::Snapshot;
using tenancy::Tenant;
using tenancy::TenantId;

constexpr size_t kMaxTokenBytes = 8192;
constexpr absl::string_view kTenantHeader = "X-Scope-OrgID";

bool IsOfATenant(v1::Role role) {
  return role != v1::ROLE_OPERATOR && role != v1::ROLE_ADMIN;
}

bool Writes(v1::Role role) {
  return role == v1::ROLE_WRITE || role == v1::ROLE_FEDERATE;
}

// The token of the Authorization header, which may be missing.
absl::StatusOr<std::optional<absl::string_view>> ReadBearerToken(
    const http::Headers& headers) {
  constexpr absl::string_view kName = "Authorization";
  if (headers.Count(kName) > 1) {
    return absl::InvalidArgumentError(
        "header Authorization comes more than once, send one");
  }
  const std::optional<absl::string_view> value = headers.Get(kName);
  if (!value.has_value()) return std::nullopt;
  constexpr absl::string_view kScheme = "Bearer ";
  if (!absl::StartsWithIgnoreCase(*value, kScheme)) {
    return absl::UnauthenticatedError(
        "header Authorization must be 'Bearer TOKEN'");
  }
  absl::string_view token = value->substr(kScheme.size());
  while (absl::ConsumePrefix(&token, " ")) {
  }
  if (token.empty() || token.size() > kMaxTokenBytes ||
      !std::all_of(token.begin(), token.end(), [](unsigned char c) {
        return absl::ascii_isgraph(c) != 0;
      })) {
    return absl::UnauthenticatedError(
        absl::StrCat("a bearer token must have 1 to ", kMaxTokenBytes,
                     " visible ASCII characters"));
  }
  return token;
}

// The tenant that the value of header `name` stands for.
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

// The tenant that header `name` names; it may be missing. Refuses whatever one
// reader could take for one tenant and another reader for another.
absl::StatusOr<std::optional<TenantId>> ReadTenantHeader(
    const http::Headers& headers, absl::string_view name) {
  for (const auto& [other, value] : headers) {
    if (absl::StrContains(other, '_') &&
        absl::EqualsIgnoreCase(absl::StrReplaceAll(other, {{"_", "-"}}),
                               name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("header ", absl::CHexEscape(other), " must be spelled ",
                       name, ", with '-'"));
    }
  }
  if (headers.Count(name) > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("header ", name, " comes more than once, send one"));
  }
  const std::optional<absl::string_view> value = headers.Get(name);
  if (!value.has_value()) return std::nullopt;
  return ParseTenantHeader(*value, name);
}

absl::StatusOr<std::array<char, 32>> Sha256(absl::string_view text) {
  std::array<char, 32> digest;
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(),
                 reinterpret_cast<unsigned char*>(digest.data()), &size,
                 EVP_sha256(), nullptr) != 1 ||
      size != digest.size()) {
    return absl::InternalError("OpenSSL can't compute SHA-256");
  }
  return digest;
}

// The binding that the token proves.
absl::StatusOr<const Binding*> FindBinding(const Snapshot& snapshot,
                                           absl::string_view token) {
  ASSIGN_OR_RETURN(const auto digest, Sha256(token));
  const Binding* binding = snapshot.FindBindingByToken(
      absl::string_view(digest.data(), digest.size()));
  if (binding == nullptr) {
    return absl::UnauthenticatedError(
        "the bearer token is not known: bind it to a tenant in the registry, "
        "or use another one");
  }
  return binding;
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

// The id of the tenant that a request with a token is for. Empty: of none.
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

// Makes the caller one with a token of `binding`.
absl::Status UseBinding(Caller* caller, const Binding& binding,
                        const std::optional<TenantId>& named,
                        absl::string_view header, v1::Role role,
                        absl::Time now) {
  if (now >= binding.not_after) {
    return absl::UnauthenticatedError(absl::StrCat(
        "binding '", binding.id, "' of the bearer token expired at ",
        absl::FormatTime(absl::RFC3339_sec, binding.not_after,
                         absl::UTCTimeZone()),
        ": use a new token"));
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

// Makes the caller one for whom a trusted header names the tenant.
absl::Status UseHeader(Caller* caller, const TenantId& named, v1::Role role) {
  caller->identity = absl::StrCat("header/", named.value());
  ASSIGN_OR_RETURN(caller->tenant,
                   FindUsableTenant(*caller->snapshot, named.value(), role));
  return absl::OkStatus();
}

absl::Status AuthenticateHeader(Caller* caller, const TenantId& named,
                                const http::Request& request,
                                const ListenerAuth& listener, v1::Role role) {
  if (!Contains(listener.trusted_addresses, request.peer.address)) {
    return absl::PermissionDeniedError(absl::StrCat(
        "header ", listener.trusted_header, " is not trusted from ",
        request.peer.address, listener.bearer ? ": send a bearer token" : "",
        ", or add the address to trusted_addresses of this listener"));
  }
  if (!IsOfATenant(role)) {
    return absl::PermissionDeniedError(
        absl::StrCat("header ", listener.trusted_header, " does not grant ",
                     v1::Role_Name(role), ": send a bearer token"));
  }
  return UseHeader(caller, named, role);
}

}  // namespace

bool Caller::MayActFor(absl::string_view tenant_id) const {
  if (tenant != nullptr) return tenant->id.value() == tenant_id;
  return binding != nullptr && binding->MayActFor(tenant_id);
}

absl::StatusOr<Caller> Authenticate(
    const http::Request& request, const ListenerAuth& listener,
    std::shared_ptr<const tenancy::Snapshot> snapshot, registry::v1::Role role,
    absl::Time now) {
  RETURN_IF_ERROR(CheckKnown(snapshot.get()));
  Caller caller;
  caller.snapshot = std::move(snapshot);

  const bool trusts_header = !listener.trusted_header.empty();
  const absl::string_view header =
      trusts_header ? absl::string_view(listener.trusted_header)
                    : kTenantHeader;
  ASSIGN_OR_RETURN(const std::optional<TenantId> named,
                   ReadTenantHeader(request.headers, header));
  if (listener.bearer) {
    ASSIGN_OR_RETURN(const std::optional<absl::string_view> token,
                     ReadBearerToken(request.headers));
    if (token.has_value()) {
      ASSIGN_OR_RETURN(const Binding* binding,
                       FindBinding(*caller.snapshot, *token));
      RETURN_IF_ERROR(UseBinding(&caller, *binding, named, header, role, now));
      return caller;
    }
  }
  if (trusts_header && named.has_value()) {
    RETURN_IF_ERROR(
        AuthenticateHeader(&caller, *named, request, listener, role));
    return caller;
  }
  if (!listener.bearer) {
    return absl::UnauthenticatedError(absl::StrCat(
        "no credential: the proxy in front must set header ", header));
  }
  return absl::UnauthenticatedError(
      "no credential: send 'Authorization: Bearer TOKEN'");
}

absl::StatusOr<Caller> CallerWithBinding(
    std::shared_ptr<const tenancy::Snapshot> snapshot,
    absl::string_view binding_id, absl::string_view tenant_id,
    registry::v1::Role role, absl::Time now) {
  RETURN_IF_ERROR(CheckKnown(snapshot.get()));
  Caller caller;
  caller.snapshot = std::move(snapshot);
  const Binding* const binding = caller.snapshot->FindBinding(binding_id);
  if (binding == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("there is no binding '",
                     absl::CHexEscape(binding_id.substr(0, 253)), "'"));
  }
  std::optional<TenantId> named;
  if (!tenant_id.empty()) {
    ASSIGN_OR_RETURN(named, ParseTenantHeader(tenant_id, kTenantHeader));
  }
  RETURN_IF_ERROR(
      UseBinding(&caller, *binding, named, kTenantHeader, role, now));
  return caller;
}

absl::StatusOr<Caller> CallerWithHeader(
    std::shared_ptr<const tenancy::Snapshot> snapshot,
    absl::string_view tenant_id, registry::v1::Role role) {
  RETURN_IF_ERROR(CheckKnown(snapshot.get()));
  Caller caller;
  caller.snapshot = std::move(snapshot);
  ASSIGN_OR_RETURN(const TenantId named,
                   ParseTenantHeader(tenant_id, kTenantHeader));
  RETURN_IF_ERROR(UseHeader(&caller, named, role));
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
