// What a listener accepts as proof of identity.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/auth/jwk.h"
#include "libs/config/config.h"

namespace insula::auth {

// An issuer of JWTs.
struct JwtIssuerConfig {
  std::string issuer;
  std::string jwks_url;
  std::string ca_file;
  bool allow_loopback_http = false;
  std::vector<std::string> audiences;
  std::vector<std::string> algorithms = {"RS256", "PS256", "ES256"};
  // Those that bindings name.
  std::vector<std::string> claims = {"sub"};
  absl::Duration leeway = absl::Seconds(60);
  absl::Duration max_lifetime = absl::Hours(24);

  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

struct BasicOptions;
struct KeystoneOptions;
struct KubeReviewOptions;

// Users and passwords.
struct BasicConfig {
  std::string password_file;  // Empty: none.
  std::string realm = "insula";

  bool enabled() const { return !password_file.empty(); }
  BasicOptions Options() const;
  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

// An identity service of OpenStack.
struct KeystoneConfig {
  std::string auth_url;  // Empty: none.
  std::string ca_file;
  // Who validates tokens.
  std::string user_name;
  std::string user_domain = "Default";
  std::string project_name;
  std::string project_domain = "Default";
  std::string password_file;
  std::vector<std::string> accepted_roles;
  absl::Duration recheck_interval = absl::Seconds(30);
  absl::Duration timeout = absl::Seconds(5);

  bool enabled() const { return !auth_url.empty(); }
  KeystoneOptions Options() const;
  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

// An API server of Kubernetes.
struct KubernetesConfig {
  std::string api_url;  // Empty: none.
  std::string cluster;
  std::string ca_file;
  std::string token_file;
  std::vector<std::string> audiences;
  absl::Duration cache_ttl = absl::Seconds(10);
  absl::Duration timeout = absl::Seconds(5);

  bool enabled() const { return !api_url.empty(); }
  KubeReviewOptions Options() const;
  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

struct ListenerAuth {
  bool bearer = true;
  // The header that has an API key. Empty: none are accepted.
  std::string api_key_header;
  bool client_certificate = false;
  BasicConfig basic;
  std::vector<JwtIssuerConfig> jwt;
  KeystoneConfig keystone;
  KubernetesConfig kubernetes;

  // The header that names the tenant. Empty: no header is trusted.
  std::string trusted_header;
  // Its value is not a tenant id but the fact of a binding.
  bool trusted_header_bound = false;
  // The peers that may set it: IP addresses, or networks as 10.1.0.0/16; and
  // URI or DNS names of verified client certificates.
  std::vector<std::string> trusted_addresses = {"127.0.0.1", "::1"};
  std::vector<std::string> trusted_names;

  // Whether a verifier is asked about bearer tokens that no binding names.
  bool AsksAboutBearer() const {
    return !jwt.empty() || kubernetes.enabled() || keystone.enabled();
  }
  // Whether header Authorization is looked at.
  bool TakesAuthorization() const {
    return bearer || basic.enabled() || AsksAboutBearer();
  }
  // The header by which callers of several tenants name one.
  const std::string& TenantHeader() const;

  void Describe(config::Fields& fields);
  // INVALID_ARGUMENT if nobody could get in, if everybody is trusted, for what
  // is no header name or no address, and for methods that one listener can't
  // tell apart.
  absl::Status Validate() const;
};

}  // namespace insula::auth
