// The settings of what a service shows to the hosts that it asks.
//
//   credentials:
//     - url: https://mimir.example/
//       bearer_file: /run/secrets/mimir-token
//     - url: https://prometheus.example:9090/team-a
//       basic_user: insula
//       basic_password_file: /run/secrets/team-a
//
// A credential belongs to a URL, not to an object of the registry: whoever may
// write an Upstream there can't have it sent anywhere else.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/config/config.h"
#include "libs/http/tls.h"
#include "libs/http/url.h"

namespace insula::outbound {

struct HeaderConfig {
  std::string name;
  std::string file;

  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

// Client credentials of OAuth 2.0 (RFC 6749, section 4.4).
struct OAuth2Config {
  std::string token_url;  // Empty: none.
  std::string client_id;
  std::string client_secret_file;
  std::vector<std::string> scopes;
  std::vector<std::string> endpoint_params;  // "audience=telemeter"
  bool secret_in_body = false;
  std::string tls_ca_file;

  bool enabled() const { return !token_url.empty(); }
  void Describe(config::Fields& fields);
  absl::Status Validate() const;
  // `endpoint_params`, taken apart.
  absl::StatusOr<http::Params> Params() const;
};

struct CredentialConfig {
  std::string url;
  // At most one of three.
  std::string bearer_file;
  std::string basic_user;
  std::string basic_password_file;
  OAuth2Config oauth2;
  std::vector<HeaderConfig> headers;
  // For all URLs of the host.
  std::string tls_ca_file;
  std::string tls_cert_file;
  std::string tls_key_file;
  std::string tls_server_name;

  void Describe(config::Fields& fields);
  absl::Status Validate() const;

  bool has_tls() const;
  http::ClientTls Tls() const;
  // Whether it puts anything into a request.
  bool has_secret() const;
  // Whether it sets the Authorization header.
  bool has_authorization() const;
};

// What `key`, the path of the list, must be as a whole; each of them is valid.
// No URL twice, and one set of TLS settings a host. INVALID_ARGUMENT names the
// elements.
absl::Status ValidateCredentials(
    absl::string_view key, const std::vector<CredentialConfig>& credentials);

// The one of `credentials`, all of them valid, that belongs to `url`: of the
// same scheme, host and port, whose path is that of `url` or one above it, the
// longest of several. Null if there is none.
const CredentialConfig* FindCredential(
    const std::vector<CredentialConfig>& credentials, const http::Url& url);

// Whether the URL `at` is `url` or lies below it.
bool Covers(const http::Url& url, const http::Url& at);

}  // namespace insula::outbound
