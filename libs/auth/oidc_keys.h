// The keys of an OIDC issuer, found by discovery and kept fresh.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/auth/jwk.h"
#include "libs/http/proxy.h"
#include "libs/http/tls.h"
#include "libs/metrics/metrics.h"
#include "libs/time/clock.h"

namespace insula::auth {

struct OidcKeysOptions {
  // The `iss` of its tokens: an https URL. Its discovery document lies at
  // ISSUER/.well-known/openid-configuration (OpenID Connect Discovery 1.0 §4)
  // and must name that very issuer.
  std::string issuer;
  // Where its keys are. Empty: as the discovery document says.
  std::string jwks_url;
  // Plain http to 127.0.0.1, ::1 and localhost. For tests and demonstrations.
  bool allow_loopback_http = false;
  std::optional<http::ClientTls> tls;
  http::ProxyRules proxy;

  absl::Duration refresh_interval = absl::Minutes(10);
  // Between two fetches that a token with an unknown kid asks for, and after
  // one that failed.
  absl::Duration retry_interval = absl::Seconds(30);
  // For how long keys serve that could not be fetched again.
  absl::Duration max_age = absl::Hours(24);
  absl::Duration fetch_timeout = absl::Seconds(10);

  // INVALID_ARGUMENT names the field.
  absl::Status Validate() const;
};

// Fetches at once, then by the clock, and when a token has a kid that is not
// known: so a new key is found as soon as it is used, and tokens with made-up
// kids cause one fetch each retry_interval in all. A failed fetch keeps the
// keys. Thread-safe. What is under way when it is destroyed ends by itself;
// `clock` and `metrics` must outlive that.
//
// Metrics: insula_auth_key_fetches_total{issuer,result="ok|failed"},
// insula_auth_keys{issuer}, insula_auth_keys_fetched_timestamp_seconds{issuer}.
class OidcKeys {
 public:
  // `steady` never jumps.
  OidcKeys(OidcKeysOptions options, boost::asio::any_io_executor executor,
           const Clock* steady, metrics::Registry* metrics);
  ~OidcKeys();

  // The key for a token with this kid and algorithm. It keeps the whole set.
  // UNAUTHENTICATED: the issuer has no such key. UNAVAILABLE: its keys can't be
  // had, or only such that are too old; the message says why.
  boost::asio::awaitable<absl::StatusOr<std::shared_ptr<const Jwk>>> Find(
      std::optional<std::string> kid, JwtAlgorithm algorithm);

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace insula::auth
