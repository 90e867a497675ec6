// Tokens of OpenStack's identity service, Keystone, API version 3.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/auth/failure_limiter.h"
#include "libs/auth/verifier.h"
#include "libs/http/proxy.h"
#include "libs/http/tls.h"
#include "libs/metrics/metrics.h"
#include "libs/time/clock.h"

namespace insula::auth {

struct KeystoneOptions {
  // Of the identity service, as clients know it: "https://id.example:5000",
  // with or without /v3. It is the issuer of the principals, and what
  // WWW-Authenticate names.
  std::string url;
  // Plain http to 127.0.0.1, ::1 and localhost. For tests and demonstrations.
  bool allow_loopback_http = false;
  std::optional<http::ClientTls> tls;

  // A user who may validate tokens: a service user, or with role `reader` of
  // the system. The tokens that are checked never serve for that themselves.
  std::string user_name;
  std::string user_domain = "Default";     // Name.
  std::string project_name;                // Empty: a token of the system.
  std::string project_domain = "Default";  // Name.
  std::string password_file;  // One line; read again when it changes.

  // A token needs one of these roles; empty: any.
  std::vector<std::string> accepted_roles;

  // What Keystone said of a token holds for so long, and no longer than the
  // token: one that is revoked is out by then.
  absl::Duration recheck_interval = absl::Seconds(30);
  // So long is a token wrong that it did not know.
  absl::Duration wrong_interval = absl::Seconds(5);
  size_t max_tokens = 10'000;  // Kept, of each kind.
  // Unknown tokens from an address.
  FailureLimiter::Options source_failures = {.per_second = 5, .burst = 100};
  absl::Duration timeout = absl::Seconds(5);  // For a check in all.
  size_t max_checks = 128;                    // At once.
  // Between two attempts to log in that fail: Keystone locks users out.
  absl::Duration login_interval = absl::Seconds(10);

  // INVALID_ARGUMENT names the field.
  absl::Status Validate() const;
};

// Takes credentials of schemes "token" (X-Auth-Token) and "bearer". Principals
// have the attributes that verifier.h lists.
//
//   UNAUTHENTICATED    Keystone does not know the token, or it is expired. So
//                      are tokens of application credentials with access
//                      rules: who checks one must obey the rules.
//   PERMISSION_DENIED  it is of no project, or has no accepted role
//   UNAVAILABLE        Keystone can't be reached, is too slow, makes no sense,
//                      or refuses our own user. What it said before serves
//                      until recheck_interval is over, and no longer.
//
// Tokens are kept as SHA-256 of the whole. Equal tokens at one time are asked
// for once. Thread-safe.
//
// Metrics: insula_auth_verifications_total{method="keystone",result},
// insula_auth_keystone_logins_total{result="ok|failed"}, and those of the
// http::Client "keystone".
class KeystoneVerifier final : public Verifier {
 public:
  struct Environment {
    boost::asio::any_io_executor executor;
    // Reads the file of the password: runtime::BlockingPool::Run. Null: where
    // the caller runs.
    std::function<boost::asio::awaitable<absl::Status>(
        std::function<absl::Status()>)>
        run_blocking;
    const Clock* clock = nullptr;   // Wall-clock: expiry of tokens.
    const Clock* steady = nullptr;  // Never jumps.
    metrics::Registry* metrics = nullptr;
    // All outlive the verifier and the checks that are under way.
    http::ProxyRules proxy;
  };

  // INVALID_ARGUMENT for options that Validate() refuses. Asks nothing yet.
  static absl::StatusOr<std::unique_ptr<KeystoneVerifier>> Make(
      KeystoneOptions options, Environment environment);
  ~KeystoneVerifier() override;

  boost::asio::awaitable<absl::StatusOr<Principal>> Verify(
      Credential credential) override;
  std::optional<absl::StatusOr<Principal>> Known(
      const Credential& credential) override;
  std::string Challenge() const override;  // Keystone uri="https://..."

 private:
  class State;
  explicit KeystoneVerifier(std::shared_ptr<State> state);
  const std::shared_ptr<State> state_;
};

}  // namespace insula::auth
