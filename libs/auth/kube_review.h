// Tokens and rights of a Kubernetes cluster, asked of its API server, as
// kube-rbac-proxy does.
//
// Our own service account needs `create` on tokenreviews and
// subjectaccessreviews: ClusterRole system:auth-delegator has both.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/auth/failure_limiter.h"
#include "libs/auth/verifier.h"
#include "libs/kube/client.h"
#include "libs/metrics/metrics.h"
#include "libs/time/clock.h"

namespace insula::auth {

struct KubeReviewOptions {
  // The issuer of the principals, to tell several clusters apart; may be empty.
  std::string cluster;
  // A token must be for one of these. Empty: for the API server itself; then a
  // service that gets such a token could use it to act for its owner there, so
  // name one and have tokens made for it (`kubectl create token --audience`).
  std::vector<std::string> audiences;

  // For so long what the API server said holds: a token that is deleted or a
  // right that is taken away has an effect after that.
  absl::Duration token_ttl = absl::Seconds(10);
  absl::Duration allowed_ttl = absl::Seconds(10);
  absl::Duration refused_ttl = absl::Seconds(5);  // Of tokens and rights.
  size_t max_entries = 10'000;                    // Kept, of each kind.
  // Unknown tokens from an address.
  FailureLimiter::Options source_failures = {.per_second = 5, .burst = 100};
  absl::Duration timeout = absl::Seconds(5);  // For one review.
  size_t max_checks = 128;                    // At once.

  // INVALID_ARGUMENT names the field.
  absl::Status Validate() const;
};

struct KubeReviewEnvironment {
  std::shared_ptr<kube::Client> client;
  boost::asio::any_io_executor executor;
  const Clock* steady = nullptr;  // Never jumps.
  metrics::Registry* metrics = nullptr;
  // All outlive the checks that are under way.
};

// Takes credentials of scheme "bearer", by TokenReview. The principal is the
// user, with attributes `groups`, `uid` and `extra/KEY`. UNAUTHENTICATED if the
// API server does not take the token, or not for one of our audiences;
// UNAVAILABLE if it can't be asked, or does not let us ask. Equal tokens at one
// time are asked for once. Thread-safe.
//
// Metrics: insula_auth_verifications_total{method="kubernetes",result}.
class KubeTokenVerifier final : public Verifier {
 public:
  static absl::StatusOr<std::unique_ptr<KubeTokenVerifier>> Make(
      KubeReviewOptions options, KubeReviewEnvironment environment);
  ~KubeTokenVerifier() override;

  boost::asio::awaitable<absl::StatusOr<Principal>> Verify(
      Credential credential) override;
  std::optional<absl::StatusOr<Principal>> Known(
      const Credential& credential) override;
  std::string Challenge() const override;

 private:
  class State;
  explicit KubeTokenVerifier(std::shared_ptr<State> state);
  const std::shared_ptr<State> state_;
};

// Asks by SubjectAccessReview. PERMISSION_DENIED also for a
// principal that is not of this cluster (a name of another issuer may be
// anybody's here), and for a question that names no namespace (the API server
// would take that for all of them). Thread-safe.
//
// Metrics: insula_auth_verifications_total{method="kubernetes_access",result}.
class KubeAccessReviewer final : public AccessReviewer {
 public:
  static absl::StatusOr<std::unique_ptr<KubeAccessReviewer>> Make(
      KubeReviewOptions options, KubeReviewEnvironment environment);
  ~KubeAccessReviewer() override;

  boost::asio::awaitable<absl::Status> Review(Principal principal,
                                              AccessQuestion question) override;

 private:
  class State;
  explicit KubeAccessReviewer(std::shared_ptr<State> state);
  const std::shared_ptr<State> state_;
};

}  // namespace insula::auth
