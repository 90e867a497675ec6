// Verifies bearer tokens that are JWTs of known issuers.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/auth/digest_cache.h"
#include "libs/auth/listener_auth.h"
#include "libs/auth/verifier.h"
#include "libs/auth/verifier_metrics.h"
#include "libs/http/proxy.h"
#include "libs/metrics/metrics.h"
#include "libs/time/clock.h"

namespace insula::auth {

// The principal's attributes are those of the issuer's `claims` that the token
// has. A verified token is not checked again for a minute, and so may outlive
// its key by that.
//
// Metrics: insula_auth_verifications_total{method="jwt",result}, and those of
// OidcKeys.
class JwtVerifier final : public Verifier {
 public:
  // Begins to fetch the keys of the issuers, each of which is valid and there
  // once. Clocks and metrics outlive what is under way; `steady` never jumps.
  static absl::StatusOr<std::shared_ptr<JwtVerifier>> Make(
      const std::vector<JwtIssuerConfig>& issuers,
      boost::asio::any_io_executor executor, const Clock* clock,
      const Clock* steady, metrics::Registry* metrics,
      const http::ProxyRules& proxy);
  ~JwtVerifier() override;

  boost::asio::awaitable<absl::StatusOr<Principal>> Verify(
      Credential credential) override;
  std::optional<absl::StatusOr<Principal>> Known(
      const Credential& credential) override;
  std::string Challenge() const override;

 private:
  struct Issuer;

  JwtVerifier(const Clock* clock, const Clock* steady,
              metrics::Registry* metrics);
  boost::asio::awaitable<absl::StatusOr<Principal>> Check(std::string token);
  const Issuer* FindIssuer(const std::string& name) const;

  const Clock& clock_;
  const Clock& steady_;
  std::vector<std::unique_ptr<const Issuer>> issuers_;
  DigestCache<Principal> cache_;
  VerifierMetrics metrics_;
};

}  // namespace insula::auth
