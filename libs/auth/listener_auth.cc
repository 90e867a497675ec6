#include "libs/auth/listener_auth.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/auth/address_set.h"
#include "libs/auth/basic.h"
#include "libs/auth/keystone.h"
#include "libs/auth/kube_review.h"
#include "libs/auth/oidc_keys.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::auth {
namespace {

constexpr size_t kMaxClaims = 8;
constexpr size_t kMaxIssuers = 16;

template <typename... Parts>
absl::Status Wrong(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

bool IsHeaderName(absl::string_view name) {
  return !name.empty() && name.size() <= 128 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '-';
         });
}

absl::Status CheckHeaderName(absl::string_view key, absl::string_view name,
                             absl::string_view example) {
  if (!IsHeaderName(name)) {
    return Wrong(key, ": '", name,
                 "' must be a header name of [A-Za-z0-9-], such as ", example);
  }
  for (const char* taken :
       {"Authorization", "Host", "Connection", "X-Auth-Token"}) {
    if (absl::EqualsIgnoreCase(name, taken)) {
      return Wrong(key, ": '", name,
                   "' has a meaning of its own, choose another");
    }
  }
  return absl::OkStatus();
}

// Of a service that is sent credentials.
absl::Status CheckServiceUrl(absl::string_view key, absl::string_view url) {
  if (absl::StartsWith(url, "https://")) return absl::OkStatus();
  for (const char* loopback :
       {"http://127.0.0.1", "http://[::1]", "http://localhost"}) {
    if (!absl::StartsWith(url, loopback)) continue;
    const absl::string_view rest =
        url.substr(absl::string_view(loopback).size());
    if (rest.empty() || rest[0] == ':' || rest[0] == '/') {
      return absl::OkStatus();
    }
  }
  return Wrong(key,
               ": must be an https URL, or http to the loopback: it is "
               "sent the credentials of callers");
}

absl::Status CheckPeriod(absl::string_view key, absl::Duration value,
                         absl::Duration most) {
  if (value > absl::ZeroDuration() && value <= most) return absl::OkStatus();
  return Wrong(key, ": must be above 0 and at most ",
               absl::FormatDuration(most));
}

// What is wrong with a setting of group `key`.
absl::Status Below(absl::string_view key, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(key, ".", status.message()));
}

}  // namespace

void JwtIssuerConfig::Describe(config::Fields& fields) {
  fields.Add("issuer", issuer, "The iss of its tokens, an https URL.");
  fields.Add("jwks_url", jwks_url,
             "Where its keys are. Empty: as its discovery document says.");
  fields.Add("ca_file", ca_file, "CA of the issuer, PEM. Empty: the system's.");
  fields.Add("allow_loopback_http", allow_loopback_http,
             "Fetch keys by plain http from the loopback. For tests.");
  fields.Add("audiences", audiences,
             "The aud of a token must be one of these.");
  fields.Add("algorithms", algorithms, "Signatures that are accepted.");
  fields.Add(
      "claims", claims,
      "Claims that bindings name, e.g. sub, groups, realm_access.roles.");
  fields.Add("leeway", leeway, "How far clocks may be apart.");
  fields.Add("max_lifetime", max_lifetime, "Longest validity of a token.");
}

absl::Status JwtIssuerConfig::Validate() const {
  OidcKeysOptions keys;
  keys.issuer = issuer;
  keys.jwks_url = jwks_url;
  keys.allow_loopback_http = allow_loopback_http;
  RETURN_IF_ERROR(keys.Validate());
  if (audiences.empty() ||
      std::find(audiences.begin(), audiences.end(), "") != audiences.end()) {
    return Wrong("audiences: must name what tokens for us are for");
  }
  if (algorithms.empty()) return Wrong("algorithms: must have at least one");
  for (const std::string& name : algorithms) {
    if (!ParseJwtAlgorithm(name).has_value()) {
      return Wrong("algorithms: '", name, "' must be RS256, PS256 or ES256");
    }
  }
  if (claims.empty() || claims.size() > kMaxClaims) {
    return Wrong("claims: must have 1 to ", kMaxClaims);
  }
  if (std::set<std::string>(claims.begin(), claims.end()).size() !=
          claims.size() ||
      std::find(claims.begin(), claims.end(), "") != claims.end()) {
    return Wrong("claims: must be names, each once");
  }
  if (leeway > absl::Minutes(10)) return Wrong("leeway: must be at most 10m");
  return CheckPeriod("max_lifetime", max_lifetime, absl::Hours(24 * 366));
}

BasicOptions BasicConfig::Options() const {
  BasicOptions options;
  options.passwords.file = password_file;
  options.realm = realm;
  return options;
}

void BasicConfig::Describe(config::Fields& fields) {
  fields.Add("password_file", password_file,
             "File of users and bcrypt hashes, as htpasswd -B makes it; users "
             "that a binding names are accepted. Empty: none are.");
  fields.Add("realm", realm, "What a browser asks a password for.");
}

absl::Status BasicConfig::Validate() const {
  return enabled() ? Below("basic", Options().Validate()) : absl::OkStatus();
}

KeystoneOptions KeystoneConfig::Options() const {
  KeystoneOptions options;
  options.url = auth_url;
  options.allow_loopback_http = true;
  if (!ca_file.empty()) {
    http::ClientTls tls;
    tls.ca_file = ca_file;
    options.tls = std::move(tls);
  }
  options.user_name = user_name;
  options.user_domain = user_domain;
  options.project_name = project_name;
  options.project_domain = project_domain;
  options.password_file = password_file;
  options.accepted_roles = accepted_roles;
  options.recheck_interval = recheck_interval;
  options.wrong_interval = std::min(options.wrong_interval, recheck_interval);
  options.timeout = timeout;
  return options;
}

void KeystoneConfig::Describe(config::Fields& fields) {
  fields.Add("auth_url", auth_url,
             "OpenStack identity service, e.g. https://keystone:5000/v3; "
             "bindings name it the same. Empty: its tokens are not accepted.");
  fields.Add("ca_file", ca_file, "Its CA, PEM. Empty: the system's.");
  fields.Add("user_name", user_name,
             "The service's own user, who may validate tokens.");
  fields.Add("user_domain", user_domain, "Name of its domain.");
  fields.Add("project_name", project_name,
             "Project that it logs in to. Empty: to the system.");
  fields.Add("project_domain", project_domain,
             "Name of the domain of that project.");
  fields.Add("password_file", password_file, "File with its password.");
  fields.Add("accepted_roles", accepted_roles,
             "A token needs one of these roles. Empty: any.");
  fields.Add("recheck_interval", recheck_interval,
             "For how long a validated token is not validated again: a revoked "
             "one is out after that.");
  fields.Add("timeout", timeout, "Longest wait for an answer.");
}

absl::Status KeystoneConfig::Validate() const {
  if (!enabled()) return absl::OkStatus();
  RETURN_IF_ERROR(CheckServiceUrl("keystone.auth_url", auth_url));
  RETURN_IF_ERROR(CheckPeriod("keystone.timeout", timeout, absl::Minutes(1)));
  return Below("keystone", Options().Validate());
}

KubeReviewOptions KubernetesConfig::Options() const {
  KubeReviewOptions options;
  options.cluster = cluster;
  options.audiences = audiences;
  options.token_ttl = cache_ttl;
  options.allowed_ttl = cache_ttl;
  options.refused_ttl = std::min(options.refused_ttl, cache_ttl);
  options.timeout = timeout;
  return options;
}

void KubernetesConfig::Describe(config::Fields& fields) {
  fields.Add("api_url", api_url,
             "Kubernetes API server that reviews tokens, e.g. "
             "https://kubernetes.default.svc. Empty: its tokens are not "
             "accepted.");
  fields.Add("cluster", cluster,
             "What bindings call the cluster. May be empty, as there.");
  fields.Add("ca_file", ca_file, "Its CA, PEM. Empty: the system's.");
  fields.Add("token_file", token_file,
             "File with the own token, which may create tokenreviews and "
             "subjectaccessreviews.");
  fields.Add("audiences", audiences,
             "The audience of a token must be one of these.");
  fields.Add("cache_ttl", cache_ttl,
             "For how long a review is not made again.");
  fields.Add("timeout", timeout, "Longest wait for an answer.");
}

absl::Status KubernetesConfig::Validate() const {
  if (!enabled()) return absl::OkStatus();
  RETURN_IF_ERROR(CheckServiceUrl("kubernetes.api_url", api_url));
  if (token_file.empty()) return Wrong("kubernetes.token_file: must be set");
  RETURN_IF_ERROR(
      CheckPeriod("kubernetes.cache_ttl", cache_ttl, absl::Minutes(5)));
  RETURN_IF_ERROR(CheckPeriod("kubernetes.timeout", timeout, absl::Minutes(1)));
  return Below("kubernetes", Options().Validate());
}

const std::string& ListenerAuth::TenantHeader() const {
  static const std::string& usual = *new std::string("X-Scope-OrgID");
  return trusted_header.empty() || trusted_header_bound ? usual
                                                        : trusted_header;
}

void ListenerAuth::Describe(config::Fields& fields) {
  fields.Add("bearer", bearer,
             "Accept bearer tokens that a binding of the registry names.");
  fields.Add("api_key_header", api_key_header,
             "Header with an API key that a binding names, e.g. X-API-Key. "
             "Empty: none is accepted.");
  fields.Add("client_certificate", client_certificate,
             "Accept client certificates by the URI and DNS names that a "
             "binding names; needs tls_client_ca_file.");
  fields.AddGroup("basic", basic);
  fields.AddList("jwt", jwt, "Issuers of JWTs that are accepted.");
  fields.AddGroup("keystone", keystone);
  fields.AddGroup("kubernetes", kubernetes);
  fields.Add("trusted_header", trusted_header,
             "Header that names the tenant, set by an authenticating proxy in "
             "front, e.g. X-Scope-OrgID. Empty: none is trusted.");
  fields.Add("trusted_header_bound", trusted_header_bound,
             "The value of trusted_header is no tenant id, but one that a "
             "binding names.");
  fields.Add("trusted_addresses", trusted_addresses,
             "Addresses and networks (10.1.0.0/16) of the proxies that may set "
             "trusted_header.");
  fields.Add("trusted_names", trusted_names,
             "URI and DNS names in client certificates of such proxies; needs "
             "tls_client_ca_file.");
}

absl::Status ListenerAuth::Validate() const {
  RETURN_IF_ERROR(basic.Validate());
  RETURN_IF_ERROR(keystone.Validate());
  RETURN_IF_ERROR(kubernetes.Validate());
  if (jwt.size() > kMaxIssuers) {
    return Wrong("jwt: may have ", kMaxIssuers, " issuers, has ", jwt.size());
  }
  std::set<std::string> issuers;
  for (const JwtIssuerConfig& issuer : jwt) {
    RETURN_IF_ERROR(Annotate(issuer.Validate(), "jwt"));
    if (!issuers.insert(issuer.issuer).second) {
      return Wrong("jwt: issuer ", issuer.issuer, " is given twice, keep one");
    }
  }
  if (!jwt.empty() && kubernetes.enabled()) {
    return Wrong(
        "kubernetes.api_url: its tokens are JWTs too, and a listener asks one "
        "verifier: give one of both a listener of its own");
  }
  if (!api_key_header.empty()) {
    RETURN_IF_ERROR(
        CheckHeaderName("api_key_header", api_key_header, "X-API-Key"));
    if (absl::EqualsIgnoreCase(api_key_header, TenantHeader()) ||
        absl::EqualsIgnoreCase(api_key_header, trusted_header)) {
      return Wrong("api_key_header: '", api_key_header,
                   "' names the tenant, choose another");
    }
  }
  if (trusted_header.empty()) {
    if (trusted_header_bound) {
      return Wrong("trusted_header_bound: needs trusted_header");
    }
    if (TakesAuthorization() || client_certificate || !api_key_header.empty()) {
      return absl::OkStatus();
    }
    return Wrong(
        "bearer: nobody could get in: set bearer to true, or trusted_header, "
        "or another method");
  }
  RETURN_IF_ERROR(
      CheckHeaderName("trusted_header", trusted_header, "X-Scope-OrgID"));
  if (trusted_header_bound &&
      absl::EqualsIgnoreCase(trusted_header, TenantHeader())) {
    return Wrong("trusted_header_bound: '", trusted_header,
                 "' names tenants themselves, choose another trusted_header");
  }
  if (trusted_addresses.empty() && trusted_names.empty()) {
    return Wrong(
        "trusted_addresses: must name the proxies that set trusted_header");
  }
  for (const std::string& address : trusted_addresses) {
    RETURN_IF_ERROR(Annotate(CheckNetwork(address), "trusted_addresses"));
  }
  if (std::find(trusted_names.begin(), trusted_names.end(), "") !=
      trusted_names.end()) {
    return Wrong("trusted_names: must not be empty");
  }
  return absl::OkStatus();
}

}  // namespace insula::auth
