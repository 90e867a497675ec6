// Checks JSON Web Tokens (RFC 7519, signed as RFC 7515 says, compact form; the
// rules of RFC 8725).
//
//   ASSIGN_OR_RETURN(const Jwt jwt, Jwt::Parse(token));
//   RETURN_IF_ERROR(CheckHeader(jwt, rules));
//   const Jwk* key = keys.Find(jwt.kid(), jwt.algorithm());
//   RETURN_IF_ERROR(CheckSignature(jwt, *key));
//   RETURN_IF_ERROR(CheckClaims(jwt, rules, now));
//
// Errors are UNAUTHENTICATED, say what is wrong, and hold nothing of the token.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/auth/jwk.h"

namespace insula::auth {

// What tokens of an issuer must be like.
struct JwtRules {
  std::string issuer;                  // `iss`, to the letter.
  std::vector<std::string> audiences;  // `aud` must have one of them.
  std::vector<JwtAlgorithm> algorithms = {
      JwtAlgorithm::kRs256, JwtAlgorithm::kPs256, JwtAlgorithm::kEs256};
  // How far clocks may be apart.
  absl::Duration leeway = absl::Seconds(60);
  // From `iat`, or from now without one, to `exp`.
  absl::Duration max_lifetime = absl::Hours(24);
};

// A token that has been read, and not been checked: believe nothing of it.
class Jwt {
 public:
  static constexpr size_t kMaxBytes = 8192;

  // Reads a token of at most kMaxBytes: three parts in base64url, the first two
  // of them JSON objects, signed by an algorithm that is known. What the header
  // says about where keys are (jku, jwk, x5u, x5c) is not looked at; `crit` is
  // refused, as no extension is understood, and so are encrypted and nested
  // tokens.
  static absl::StatusOr<Jwt> Parse(absl::string_view token);

  JwtAlgorithm algorithm() const { return algorithm_; }
  const std::optional<std::string>& kid() const { return kid_; }
  const nlohmann::json& claims() const { return claims_; }
  // The issuer that it claims to be of. Empty: none.
  std::string issuer() const;
  // "header.claims", and the bytes of the signature.
  const std::string& signed_text() const { return signed_text_; }
  const std::string& signature() const { return signature_; }

 private:
  JwtAlgorithm algorithm_ = JwtAlgorithm::kRs256;
  std::optional<std::string> kid_;
  nlohmann::json claims_;
  std::string signed_text_;
  std::string signature_;
};

// Whether issuer and algorithm are those of the rules. Costs nothing, so that
// no key is fetched for a token that would be refused.
absl::Status CheckHeader(const Jwt& jwt, const JwtRules& rules);

// Whether `key` made the signature.
absl::Status CheckSignature(const Jwt& jwt, const Jwk& key);

// Whether it is for us and valid now: `aud`, `exp` (which it must have), `nbf`,
// `iat`, and how long it is valid. Of a token with a good signature,
// UNAUTHENTICATED tells its owner what to do.
absl::Status CheckClaims(const Jwt& jwt, const JwtRules& rules, absl::Time now);

// `exp` of a token that passed CheckClaims().
absl::Time ExpiryOf(const Jwt& jwt);

// The values of a claim: a string, or each string of an array. `name` may have
// dots, of which each leads into an object, unless a claim has that very name:
// "realm_access.roles". Numbers and truth values are as JSON writes them. Empty
// if there is none.
std::vector<std::string> ClaimValues(const nlohmann::json& claims,
                                     absl::string_view name);

}  // namespace insula::auth
