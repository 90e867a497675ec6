#include "libs/auth/jwt.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "libs/auth/base64url.h"
#include "libs/auth/strict_json.h"
#include "libs/status/status_macros.h"

namespace insula::auth {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxKidBytes = 256;
constexpr size_t kEs256Bytes = 64;
constexpr int kPssSaltBytes = 32;
// Seconds since 1970 until the year 9999.
constexpr double kMaxSeconds = 253402300799.0;

absl::Status Refused(absl::string_view why) {
  return absl::UnauthenticatedError(absl::StrCat("the token ", why));
}

absl::StatusOr<Json> DecodeObject(absl::string_view part,
                                  absl::string_view what) {
  const std::optional<std::string> text = DecodeBase64Url(part);
  if (!text.has_value()) {
    return Refused(absl::StrCat("has ", what, " that is not base64url"));
  }
  absl::StatusOr<Json> object = ParseStrictObject(*text);
  if (!object.ok()) {
    return Refused(absl::StrCat("has ", what, ": ", object.status().message()));
  }
  return object;
}

bool IsTypeOfAToken(const Json& type) {
  if (!type.is_string()) return false;
  absl::string_view text = type.get_ref<const std::string&>();
  if (absl::StartsWithIgnoreCase(text, "application/")) {
    text.remove_prefix(sizeof("application/") - 1);
  }
  return absl::EqualsIgnoreCase(text, "jwt") ||
         absl::EqualsIgnoreCase(text, "at+jwt");
}

// Everything of the header but algorithm and kid.
absl::Status CheckRest(const Json& header) {
  if (header.contains("crit")) {
    return Refused("demands extensions (crit), none is understood");
  }
  for (const char* name : {"enc", "zip", "b64", "cty"}) {
    if (header.contains(name)) {
      return Refused(absl::StrCat("has the header field ", name,
                                  ", a plain signed token must not"));
    }
  }
  const auto type = header.find("typ");
  if (type != header.end() && !IsTypeOfAToken(*type)) {
    return Refused("has a typ other than JWT or at+jwt");
  }
  return absl::OkStatus();
}

// A claim that is a time. Nothing if there is none.
absl::StatusOr<std::optional<absl::Time>> TimeOf(const Json& claims,
                                                 const char* name) {
  const auto claim = claims.find(name);
  if (claim == claims.end()) return std::nullopt;
  if (!claim->is_number()) {
    return Refused(absl::StrCat("has ", name, " that is not a number"));
  }
  const double seconds = claim->get<double>();
  if (!(seconds >= 0 && seconds <= kMaxSeconds)) {
    return Refused(absl::StrCat("has ", name, " out of any calendar"));
  }
  return absl::FromUnixSeconds(0) + absl::Seconds(seconds);
}

absl::Status CheckAudience(const Json& claims, const JwtRules& rules) {
  const auto aud = claims.find("aud");
  if (aud == claims.end()) return Refused("is for nobody: it has no aud");
  auto is_ours = [&rules](const Json& value) {
    return value.is_string() &&
           std::find(rules.audiences.begin(), rules.audiences.end(),
                     value.get_ref<const std::string&>()) !=
               rules.audiences.end();
  };
  const bool ours = aud->is_array()
                        ? std::any_of(aud->begin(), aud->end(), is_ours)
                        : is_ours(*aud);
  if (ours) return absl::OkStatus();
  return Refused("is for another audience: have it issued for this service");
}

// The form that OpenSSL takes: two integers in DER. Empty if it can't be.
std::string ToDer(absl::string_view raw) {
  if (raw.size() != kEs256Bytes) return "";
  const auto* bytes = reinterpret_cast<const unsigned char*>(raw.data());
  constexpr int kHalf = kEs256Bytes / 2;
  struct Deleter {
    void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
  };
  const std::unique_ptr<ECDSA_SIG, Deleter> signature(ECDSA_SIG_new());
  BIGNUM* r = BN_bin2bn(bytes, kHalf, nullptr);
  BIGNUM* s = BN_bin2bn(bytes + kHalf, kHalf, nullptr);
  if (signature == nullptr || r == nullptr || s == nullptr ||
      ECDSA_SIG_set0(signature.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return "";
  }
  const int size = i2d_ECDSA_SIG(signature.get(), nullptr);
  if (size <= 0) return "";
  std::string der(static_cast<size_t>(size), '\0');
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_ECDSA_SIG(signature.get(), &out);
  return der;
}

bool SetPadding(JwtAlgorithm algorithm, EVP_PKEY_CTX* context) {
  switch (algorithm) {
    case JwtAlgorithm::kRs256:
      return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
    case JwtAlgorithm::kPs256:
      return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) ==
                 1 &&
             EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(context, kPssSaltBytes) == 1;
    case JwtAlgorithm::kEs256:
      return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<Jwt> Jwt::Parse(absl::string_view token) {
  if (token.size() > kMaxBytes) {
    return Refused(
        absl::StrCat("has ", token.size(), " bytes, may have ", kMaxBytes));
  }
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '.');
  if (parts.size() != 3) {
    return Refused("is no JWT: it has not three parts between two dots");
  }
  Jwt jwt;
  ASSIGN_OR_RETURN(const Json header, DecodeObject(parts[0], "a header"));
  const auto alg = header.find("alg");
  std::optional<JwtAlgorithm> algorithm;
  if (alg != header.end() && alg->is_string()) {
    algorithm = ParseJwtAlgorithm(alg->get_ref<const std::string&>());
  }
  if (!algorithm.has_value()) {
    return Refused("is not signed by RS256, PS256 or ES256");
  }
  jwt.algorithm_ = *algorithm;
  RETURN_IF_ERROR(CheckRest(header));
  if (const auto kid = header.find("kid"); kid != header.end()) {
    if (!kid->is_string() ||
        kid->get_ref<const std::string&>().size() > kMaxKidBytes) {
      return Refused("has a kid that is no string, or too long a one");
    }
    jwt.kid_ = kid->get<std::string>();
  }
  ASSIGN_OR_RETURN(jwt.claims_, DecodeObject(parts[1], "claims"));
  std::optional<std::string> signature = DecodeBase64Url(parts[2]);
  if (!signature.has_value() || signature->empty()) {
    return Refused("has no signature in base64url");
  }
  jwt.signature_ = *std::move(signature);
  jwt.signed_text_ =
      std::string(token.substr(0, parts[0].size() + 1 + parts[1].size()));
  return jwt;
}

std::string Jwt::issuer() const {
  const auto iss = claims_.find("iss");
  return iss != claims_.end() && iss->is_string() ? iss->get<std::string>()
                                                  : std::string();
}

absl::Status CheckHeader(const Jwt& jwt, const JwtRules& rules) {
  if (rules.issuer.empty() || jwt.issuer() != rules.issuer) {
    return Refused("is of another issuer");
  }
  if (std::find(rules.algorithms.begin(), rules.algorithms.end(),
                jwt.algorithm()) == rules.algorithms.end()) {
    return Refused(absl::StrCat("is signed by ",
                                JwtAlgorithmName(jwt.algorithm()),
                                ", which is not allowed for this issuer"));
  }
  return absl::OkStatus();
}

absl::Status CheckSignature(const Jwt& jwt, const Jwk& key) {
  const absl::Status wrong = Refused("has a signature that is wrong");
  if (!key.Takes(jwt.algorithm())) return wrong;
  const std::string signature = jwt.algorithm() == JwtAlgorithm::kEs256
                                    ? ToDer(jwt.signature())
                                    : jwt.signature();
  struct Deleter {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  const std::unique_ptr<EVP_MD_CTX, Deleter> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* padding = nullptr;
  if (signature.empty() || context == nullptr ||
      EVP_DigestVerifyInit(context.get(), &padding, EVP_sha256(), nullptr,
                           key.key.get()) != 1 ||
      !SetPadding(jwt.algorithm(), padding) ||
      EVP_DigestVerify(
          context.get(),
          reinterpret_cast<const unsigned char*>(signature.data()),
          signature.size(),
          reinterpret_cast<const unsigned char*>(jwt.signed_text().data()),
          jwt.signed_text().size()) != 1) {
    return wrong;
  }
  return absl::OkStatus();
}

absl::Status CheckClaims(const Jwt& jwt, const JwtRules& rules,
                         absl::Time now) {
  const Json& claims = jwt.claims();
  RETURN_IF_ERROR(CheckAudience(claims, rules));
  ASSIGN_OR_RETURN(const std::optional<absl::Time> exp, TimeOf(claims, "exp"));
  ASSIGN_OR_RETURN(const std::optional<absl::Time> nbf, TimeOf(claims, "nbf"));
  ASSIGN_OR_RETURN(const std::optional<absl::Time> iat, TimeOf(claims, "iat"));
  if (!exp.has_value()) return Refused("never expires: it has no exp");
  if (*exp + rules.leeway <= now) return Refused("has expired: get a new one");
  if (nbf.has_value() && *nbf - rules.leeway > now) {
    return Refused("is not valid yet (nbf): compare the clocks");
  }
  if (iat.has_value() && *iat - rules.leeway > now) {
    return Refused("was issued in the future (iat): compare the clocks");
  }
  if (*exp - iat.value_or(now) > rules.max_lifetime + rules.leeway) {
    return Refused(absl::StrCat("is valid for longer than ",
                                absl::FormatDuration(rules.max_lifetime),
                                ": have shorter ones issued"));
  }
  return absl::OkStatus();
}

absl::Time ExpiryOf(const Jwt& jwt) {
  const absl::StatusOr<std::optional<absl::Time>> exp =
      TimeOf(jwt.claims(), "exp");
  return exp.ok() ? exp->value_or(absl::InfinitePast()) : absl::InfinitePast();
}

std::vector<std::string> ClaimValues(const Json& claims,
                                     absl::string_view name) {
  const Json* at = &claims;
  if (const auto whole = claims.find(std::string(name));
      whole != claims.end()) {
    at = &*whole;
  } else {
    for (const absl::string_view step : absl::StrSplit(name, '.')) {
      if (!at->is_object()) return {};
      const auto member = at->find(std::string(step));
      if (member == at->end()) return {};
      at = &*member;
    }
  }
  std::vector<std::string> values;
  auto add = [&values](const Json& value) {
    if (value.is_string()) {
      values.push_back(value.get<std::string>());
    } else if (value.is_number() || value.is_boolean()) {
      values.push_back(value.dump());
    }
  };
  if (at->is_array()) {
    for (const Json& value : *at) add(value);
  } else {
    add(*at);
  }
  return values;
}

}  // namespace insula::auth
