// User names and passwords (RFC 7617), checked against a file of bcrypt hashes.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/auth/failure_limiter.h"
#include "libs/auth/password_file.h"
#include "libs/auth/verifier.h"
#include "libs/metrics/metrics.h"
#include "libs/time/clock.h"

namespace insula::auth {

// Runs work that may block and returns its status, on a thread that may wait:
// runtime::BlockingPool::Run.
using RunBlocking = std::function<boost::asio::awaitable<absl::Status>(
    std::function<absl::Status()>)>;

struct BasicOptions {
  PasswordFileOptions passwords;
  std::string realm = "insula";  // What a browser asks a password for.
  // A password that was right needs not be hashed again for so long. A user
  // who is removed or gets another password is out by then; with another
  // password at the first check of anybody's after the file was read.
  absl::Duration success_ttl = absl::Minutes(1);
  size_t max_successes = 10'000;
  // Wrong passwords, of a user (known or not) and from an address. Who was let
  // in within success_ttl is not held up by others who guess.
  FailureLimiter::Options user_failures = {.per_second = 0.2, .burst = 20};
  FailureLimiter::Options source_failures = {.per_second = 1, .burst = 50};
  // For a check, with the wait for a thread. UNAVAILABLE then.
  absl::Duration timeout = absl::Seconds(10);
  size_t max_checks = 64;  // At once.

  // INVALID_ARGUMENT names the field.
  absl::Status Validate() const;
};

// Takes credentials of scheme "basic". A password is at most 72 bytes long,
// which is all that bcrypt looks at. An unknown user takes as long as a wrong
// password. Thread-safe.
//
// Metrics: insula_auth_verifications_total{method="basic",result}.
class BasicVerifier final : public Verifier {
 public:
  struct Environment {
    boost::asio::any_io_executor executor;
    RunBlocking run_blocking;       // Hashes there, and reads the file.
    const Clock* steady = nullptr;  // Never jumps.
    metrics::Registry* metrics = nullptr;
    // Both outlive the verifier and the checks that are under way.
  };

  // Reads the file, and blocks for that. INVALID_ARGUMENT, NOT_FOUND name what
  // is wrong with it.
  static absl::StatusOr<std::unique_ptr<BasicVerifier>> Make(
      BasicOptions options, Environment environment);
  ~BasicVerifier() override;

  boost::asio::awaitable<absl::StatusOr<Principal>> Verify(
      Credential credential) override;
  std::optional<absl::StatusOr<Principal>> Known(
      const Credential& credential) override;
  std::string Challenge() const override;

 private:
  class State;
  explicit BasicVerifier(std::shared_ptr<State> state);
  const std::shared_ptr<State> state_;
};

}  // namespace insula::auth
