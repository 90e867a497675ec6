#include "libs/auth/auth.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/auth/address_set.h"
#include "libs/auth/credentials.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/fact.h"

namespace insula::auth {
namespace {

namespace v1 = ::insula::registry::v1;
using tenancy::Binding;
using tenancy::Snapshot;
using tenancy::TenantId;

constexpr size_t kMaxHeaderFactBytes = 1024;

absl::Status UnknownCredential(absl::string_view what) {
  return absl::UnauthenticatedError(
      absl::StrCat("the ", what,
                   " is not known: bind it to a tenant in the registry, or use "
                   "another one"));
}

Principal PrincipalOf(const http::Peer& peer) {
  Principal principal;
  principal.method = "certificate";
  principal.name =
      peer.san_uris.empty() ? peer.san_dns.front() : peer.san_uris.front();
  principal.attributes = {{"uri", peer.san_uris}, {"dns", peer.san_dns}};
  return principal;
}

bool IsTrusted(const http::Peer& peer, const ListenerAuth& listener) {
  if (Contains(listener.trusted_addresses, peer.address)) return true;
  const auto has = [&peer](const std::string& name) {
    return std::find(peer.san_uris.begin(), peer.san_uris.end(), name) !=
               peer.san_uris.end() ||
           std::find(peer.san_dns.begin(), peer.san_dns.end(), name) !=
               peer.san_dns.end();
  };
  return std::any_of(listener.trusted_names.begin(),
                     listener.trusted_names.end(), has);
}

// One request.
class Inquiry {
 public:
  Inquiry(const http::Request& request, const ListenerAuth& listener,
          std::shared_ptr<const Snapshot> snapshot, v1::Role role,
          absl::Time now)
      : request_(request),
        listener_(listener),
        snapshot_(std::move(snapshot)),
        role_(role),
        now_(now) {}

  // Sets `ask` if a verifier must be asked; the caller is none then.
  absl::StatusOr<Caller> Run(std::optional<Credential>* ask) {
    RETURN_IF_ERROR(CheckKnown(snapshot_.get()));
    ASSIGN_OR_RETURN(
        named_, ReadTenantHeader(request_.headers, listener_.TenantHeader()));
    ASSIGN_OR_RETURN(std::optional<Credential> credential,
                     FindCredential(request_, listener_));
    if (!credential.has_value()) return WithoutCredential();
    if (credential->scheme == "certificate") {
      return CallerWithPrincipal(snapshot_, PrincipalOf(request_.peer), named_,
                                 listener_.TenantHeader(), role_, now_);
    }
    if (credential->scheme == "api-key") {
      return WithFact(tenancy::ApiKeyKey(tenancy::Sha256(credential->text)),
                      "API key");
    }
    if (credential->scheme == "bearer" && listener_.bearer) {
      const tenancy::FactKey key =
          tenancy::TokenKey(tenancy::Sha256(credential->text));
      if (!listener_.AsksAboutBearer() ||
          snapshot_->FindBindingByFact(key) != nullptr) {
        return WithFact(key, "bearer token");
      }
    }
    *ask = *std::move(credential);
    return UnknownCredential("credential");
  }

 private:
  absl::StatusOr<Caller> WithFact(const tenancy::FactKey& key,
                                  absl::string_view what) {
    const Binding* const binding = snapshot_->FindBindingByFact(key);
    if (binding == nullptr) return UnknownCredential(what);
    return CallerOf(snapshot_, *binding, named_, listener_.TenantHeader(),
                    role_, now_);
  }

  absl::StatusOr<Caller> WithoutCredential() {
    if (listener_.trusted_header.empty()) return NoCredential();
    std::optional<absl::string_view> value;
    ASSIGN_OR_RETURN(value,
                     ReadOnce(request_.headers, listener_.trusted_header));
    if (!value.has_value()) return NoCredential();
    const bool others =
        listener_.TakesAuthorization() || !listener_.api_key_header.empty();
    if (!IsTrusted(request_.peer, listener_)) {
      return absl::PermissionDeniedError(absl::StrCat(
          "header ", listener_.trusted_header, " is not trusted from ",
          request_.peer.address,
          others ? absl::StrCat(": send ", Wanted()) : "",
          ", or add the address to trusted_addresses of this listener"));
    }
    if (listener_.trusted_header_bound) return WithBoundHeader(*value);
    if (!IsOfATenant(role_)) {
      return absl::PermissionDeniedError(
          absl::StrCat("header ", listener_.trusted_header, " does not grant ",
                       v1::Role_Name(role_), ": send ", Wanted()));
    }
    return CallerWithHeader(snapshot_, *value, role_);
  }

  // The value is the fact of a binding.
  absl::StatusOr<Caller> WithBoundHeader(absl::string_view value) {
    const std::string& name = listener_.trusted_header;
    if (value.empty() || value.size() > kMaxHeaderFactBytes ||
        absl::StrContains(value, ',') || absl::StrContains(value, '|')) {
      return absl::InvalidArgumentError(absl::StrCat(
          "header ", name, " must have one value of 1 to ", kMaxHeaderFactBytes,
          " bytes: lists by ',' or '|' are refused"));
    }
    const Binding* const binding =
        snapshot_->FindBindingByFact(tenancy::HeaderKey(name, value));
    if (binding == nullptr) {
      return absl::PermissionDeniedError(
          absl::StrCat("no binding names this value of header ", name,
                       ": bind it to a tenant in the registry"));
    }
    return CallerOf(snapshot_, *binding, named_, listener_.TenantHeader(),
                    role_, now_);
  }

  // What a request could have proven itself with.
  std::string Wanted() const {
    if (listener_.bearer || listener_.AsksAboutBearer()) {
      return listener_.trusted_header.empty() ? "'Authorization: Bearer TOKEN'"
                                              : "a bearer token";
    }
    if (listener_.basic.enabled()) return "user and password";
    if (!listener_.api_key_header.empty()) {
      return absl::StrCat("an API key in header ", listener_.api_key_header);
    }
    if (listener_.client_certificate) {
      return "a client certificate with a URI or DNS name";
    }
    return "a bearer token to a listener that accepts it";
  }

  absl::Status NoCredential() const {
    if (!listener_.TakesAuthorization() && listener_.api_key_header.empty() &&
        !listener_.client_certificate) {
      return absl::UnauthenticatedError(
          absl::StrCat("no credential: the proxy in front must set header ",
                       listener_.trusted_header));
    }
    std::vector<std::string> ways;
    if (listener_.bearer || listener_.AsksAboutBearer()) {
      ways.push_back("'Authorization: Bearer TOKEN'");
    }
    if (listener_.basic.enabled()) ways.push_back("user and password");
    if (!listener_.api_key_header.empty()) {
      ways.push_back(
          absl::StrCat("an API key in header ", listener_.api_key_header));
    }
    if (listener_.keystone.enabled()) ways.push_back("header X-Auth-Token");
    if (listener_.client_certificate) {
      ways.push_back("a client certificate with a URI or DNS name");
    }
    return absl::UnauthenticatedError(
        absl::StrCat("no credential: send ", absl::StrJoin(ways, ", or ")));
  }

  const http::Request& request_;
  const ListenerAuth& listener_;
  const std::shared_ptr<const Snapshot> snapshot_;
  const v1::Role role_;
  const absl::Time now_;
  std::optional<TenantId> named_;
};

}  // namespace

std::variant<absl::StatusOr<Caller>, Credential> AuthenticateNow(
    const http::Request& request, const ListenerAuth& listener,
    std::shared_ptr<const Snapshot> snapshot, v1::Role role, absl::Time now) {
  std::optional<Credential> ask;
  absl::StatusOr<Caller> caller =
      Inquiry(request, listener, std::move(snapshot), role, now).Run(&ask);
  if (ask.has_value()) return *std::move(ask);
  return caller;
}

absl::StatusOr<Caller> Authenticate(const http::Request& request,
                                    const ListenerAuth& listener,
                                    std::shared_ptr<const Snapshot> snapshot,
                                    v1::Role role, absl::Time now) {
  std::optional<Credential> ask;
  return Inquiry(request, listener, std::move(snapshot), role, now).Run(&ask);
}

}  // namespace insula::auth
