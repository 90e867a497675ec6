// Tokens of which somebody else must be asked: what is kept of the answers, and
// how often questions may be.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/auth/digest.h"
#include "libs/auth/digest_cache.h"
#include "libs/auth/failure_limiter.h"
#include "libs/auth/single_flight.h"
#include "libs/auth/verifier.h"
#include "libs/auth/verifier_metrics.h"
#include "libs/metrics/metrics.h"
#include "libs/secret/secret.h"
#include "libs/time/clock.h"

namespace insula::auth {

// Tokens are kept as SHA-256 of the whole. Equal ones at one time are asked for
// once. Thread-safe. Owned by a shared_ptr, and lives until the last question
// has ended. Metrics: those of VerifierMetrics.
class AskedTokens {
 public:
  struct Options {
    std::string method;  // Of the metrics.
    // So long holds that a token is known, let in or not, and that it is wrong.
    absl::Duration good_ttl;
    absl::Duration wrong_ttl;
    size_t max_tokens = 0;                    // Kept, of each kind.
    FailureLimiter::Options source_failures;  // Wrong tokens from an address.
    absl::Duration timeout;                   // For a caller in all.
    size_t max_checks = 0;                    // At once.
  };
  struct Environment {
    boost::asio::any_io_executor executor;
    const Clock* clock = nullptr;   // Wall-clock; null: no principal expires.
    const Clock* steady = nullptr;  // Never jumps.
    metrics::Registry* metrics = nullptr;
    // All outlive it.
  };
  // Asks. UNAUTHENTICATED: the token is wrong; PERMISSION_DENIED: it is known
  // and not let in; other errors say nothing of it, and are not kept. Ends by
  // itself, and owns what it uses.
  using Ask = std::function<boost::asio::awaitable<absl::StatusOr<Principal>>(
      Secret token)>;

  AskedTokens(Options options, Environment environment);

  // What is known of the token, or what `ask` says of it. RESOURCE_EXHAUSTED
  // for too many wrong ones from an address.
  static boost::asio::awaitable<absl::StatusOr<Principal>> Verify(
      std::shared_ptr<AskedTokens> self, Credential credential, Ask ask);

  // What is known of the token, without asking.
  std::optional<absl::StatusOr<Principal>> Known(const Credential& credential);

  // UNAUTHENTICATED, counted, for what is no such token.
  absl::Status Refuse(absl::string_view cure);

 private:
  using Flights = SingleFlight<Principal>;

  std::optional<absl::StatusOr<Principal>> Find(const Digest& key);
  void Keep(const Digest& key, const absl::StatusOr<Principal>& result);
  static boost::asio::awaitable<absl::StatusOr<Principal>> Check(
      std::shared_ptr<AskedTokens> self, Digest key, Secret token,
      std::string source, Ask ask);

  const Options options_;
  const Environment environment_;
  DigestCache<absl::StatusOr<Principal>> good_;  // Known: let in or not.
  DigestCache<absl::Status> wrong_;
  FailureLimiter by_source_;
  const std::shared_ptr<Flights> flights_;
  VerifierMetrics metrics_;
};

}  // namespace insula::auth
