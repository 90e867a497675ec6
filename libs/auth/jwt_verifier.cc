#include "libs/auth/jwt_verifier.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/auth/digest.h"
#include "libs/auth/jwt.h"
#include "libs/auth/oidc_keys.h"
#include "libs/http/tls.h"

namespace insula::auth {
namespace {

namespace asio = boost::asio;

constexpr size_t kMaxCached = 10'000;
constexpr absl::Duration kKnownFor = absl::Minutes(1);

JwtRules RulesOf(const JwtIssuerConfig& config) {
  JwtRules rules;
  rules.issuer = config.issuer;
  rules.audiences = config.audiences;
  rules.algorithms.clear();
  for (const std::string& name : config.algorithms) {
    if (const auto algorithm = ParseJwtAlgorithm(name)) {
      rules.algorithms.push_back(*algorithm);
    }
  }
  rules.leeway = config.leeway;
  rules.max_lifetime = config.max_lifetime;
  return rules;
}

OidcKeysOptions KeysOf(const JwtIssuerConfig& config,
                       const http::ProxyRules& proxy) {
  OidcKeysOptions options;
  options.issuer = config.issuer;
  options.jwks_url = config.jwks_url;
  options.allow_loopback_http = config.allow_loopback_http;
  options.proxy = proxy;
  if (!config.ca_file.empty()) {
    http::ClientTls tls;
    tls.ca_file = config.ca_file;
    options.tls = std::move(tls);
  }
  return options;
}

}  // namespace

struct JwtVerifier::Issuer {
  JwtRules rules;
  std::vector<std::string> claims;
  std::unique_ptr<OidcKeys> keys;
};

absl::StatusOr<std::shared_ptr<JwtVerifier>> JwtVerifier::Make(
    const std::vector<JwtIssuerConfig>& issuers, asio::any_io_executor executor,
    const Clock* clock, const Clock* steady, metrics::Registry* metrics,
    const http::ProxyRules& proxy) {
  std::shared_ptr<JwtVerifier> verifier(
      new JwtVerifier(clock, steady, metrics));
  for (const JwtIssuerConfig& config : issuers) {
    if (absl::Status status = config.Validate(); !status.ok()) return status;
    auto issuer = std::make_unique<Issuer>();
    issuer->rules = RulesOf(config);
    issuer->claims = config.claims;
    issuer->keys = std::make_unique<OidcKeys>(KeysOf(config, proxy), executor,
                                              steady, metrics);
    verifier->issuers_.push_back(std::move(issuer));
  }
  return verifier;
}

JwtVerifier::JwtVerifier(const Clock* clock, const Clock* steady,
                         metrics::Registry* metrics)
    : clock_(*clock),
      steady_(*steady),
      cache_(kMaxCached),
      metrics_(metrics, "jwt") {}

JwtVerifier::~JwtVerifier() = default;

std::string JwtVerifier::Challenge() const { return "Bearer"; }

std::optional<absl::StatusOr<Principal>> JwtVerifier::Known(
    const Credential& credential) {
  const Digest key = Sha256Of(credential.text);
  std::optional<Principal> principal = cache_.Find(key, steady_.Now());
  if (!principal.has_value()) return std::nullopt;
  if (clock_.Now() >= principal->expires) {
    cache_.Erase(key);
    return std::nullopt;
  }
  metrics_.Cached();
  return absl::StatusOr<Principal>(*std::move(principal));
}

asio::awaitable<absl::StatusOr<Principal>> JwtVerifier::Verify(
    Credential credential) {
  if (auto known = Known(credential)) co_return *std::move(known);
  absl::StatusOr<Principal> principal = co_await Check(credential.text);
  metrics_.Count(principal.status());
  if (principal.ok()) {
    const absl::Time now = steady_.Now();
    cache_.Put(Sha256Of(credential.text), *principal, now + kKnownFor, now);
  }
  co_return principal;
}

asio::awaitable<absl::StatusOr<Principal>> JwtVerifier::Check(
    std::string token) {
  const absl::StatusOr<Jwt> jwt = Jwt::Parse(token);
  if (!jwt.ok()) co_return jwt.status();
  const Issuer* const issuer = FindIssuer(jwt->issuer());
  if (issuer == nullptr) {
    co_return absl::UnauthenticatedError(
        "the token is of an issuer that this listener does not know: add it to "
        "jwt, or use a token of another one");
  }
  absl::Status status = CheckHeader(*jwt, issuer->rules);
  if (!status.ok()) co_return status;
  const auto key = co_await issuer->keys->Find(jwt->kid(), jwt->algorithm());
  if (!key.ok()) co_return key.status();
  status = CheckSignature(*jwt, **key);
  if (!status.ok()) co_return status;
  status = CheckClaims(*jwt, issuer->rules, clock_.Now());
  if (!status.ok()) co_return status;

  Principal principal;
  principal.method = "jwt";
  principal.issuer = issuer->rules.issuer;
  const std::vector<std::string> subject = ClaimValues(jwt->claims(), "sub");
  if (subject.size() == 1) principal.name = subject[0];
  for (const std::string& claim : issuer->claims) {
    std::vector<std::string> values = ClaimValues(jwt->claims(), claim);
    if (values.empty()) continue;
    principal.attributes.emplace_back(claim, std::move(values));
  }
  principal.expires = ExpiryOf(*jwt) + issuer->rules.leeway;
  co_return principal;
}

const JwtVerifier::Issuer* JwtVerifier::FindIssuer(
    const std::string& name) const {
  for (const auto& issuer : issuers_) {
    if (issuer->rules.issuer == name) return issuer.get();
  }
  return nullptr;
}

}  // namespace insula::auth
