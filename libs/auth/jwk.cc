#include "libs/auth/jwk.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/auth/base64url.h"
#include "libs/auth/strict_json.h"
#include "libs/status/status_macros.h"

namespace insula::auth {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxKidBytes = 256;
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits =
    8192;  // A signature takes 8192 bits' time to check.
constexpr size_t kMaxExponentBytes = 8;
constexpr size_t kCoordinateBytes = 32;  // Of P-256.

constexpr std::array<std::pair<JwtAlgorithm, absl::string_view>, 3>
    kAlgorithms = {{{JwtAlgorithm::kRs256, "RS256"},
                    {JwtAlgorithm::kPs256, "PS256"},
                    {JwtAlgorithm::kEs256, "ES256"}}};

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Number = std::unique_ptr<BIGNUM, Free<&BN_free>>;
using ParamBuilder =
    std::unique_ptr<OSSL_PARAM_BLD, Free<&OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Free<&OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Free<&EVP_PKEY_CTX_free>>;
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;

// The string member `name`; nothing if there is none.
std::optional<std::string> StringOf(const Json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end() || !member->is_string()) return std::nullopt;
  return member->get<std::string>();
}

std::optional<std::string> BytesOf(const Json& object, const char* name) {
  const std::optional<std::string> text = StringOf(object, name);
  return text.has_value() ? DecodeBase64Url(*text) : std::nullopt;
}

Number ToNumber(absl::string_view bytes) {
  return Number(BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                          static_cast<int>(bytes.size()), nullptr));
}

// Null if OpenSSL finds the key wrong.
Key MakeKey(const char* type, OSSL_PARAM_BLD* builder) {
  const Params params(OSSL_PARAM_BLD_to_param(builder));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  if (params == nullptr || context == nullptr ||
      EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY,
                        params.get()) != 1) {
    return nullptr;
  }
  Key key(made);
  const KeyContext check(
      EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (check == nullptr || EVP_PKEY_public_check(check.get()) != 1) {
    return nullptr;
  }
  return key;
}

// Null: not a key that is taken.
Key RsaKey(const Json& jwk) {
  const std::optional<std::string> n = BytesOf(jwk, "n");
  const std::optional<std::string> e = BytesOf(jwk, "e");
  if (!n.has_value() || !e.has_value() || n->size() > kMaxRsaBits / 8 + 1 ||
      e->empty() || e->size() > kMaxExponentBytes) {
    return nullptr;
  }
  const Number modulus = ToNumber(*n);
  const Number exponent = ToNumber(*e);
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  if (modulus == nullptr || exponent == nullptr || builder == nullptr ||
      BN_num_bits(modulus.get()) < kMinRsaBits ||
      BN_num_bits(modulus.get()) > kMaxRsaBits ||
      BN_is_odd(modulus.get()) == 0 || BN_is_odd(exponent.get()) == 0 ||
      BN_is_one(exponent.get()) != 0 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N,
                             modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E,
                             exponent.get()) != 1) {
    return nullptr;
  }
  return MakeKey("RSA", builder.get());
}

Key EcKey(const Json& jwk) {
  const std::optional<std::string> x = BytesOf(jwk, "x");
  const std::optional<std::string> y = BytesOf(jwk, "y");
  if (StringOf(jwk, "crv") != "P-256" || !x.has_value() || !y.has_value() ||
      x->size() != kCoordinateBytes || y->size() != kCoordinateBytes) {
    return nullptr;
  }
  const std::string point = absl::StrCat("\x04", *x, *y);
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME,
                                      "prime256v1", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY,
                                       point.data(), point.size()) != 1) {
    return nullptr;
  }
  return MakeKey("EC", builder.get());
}

bool IsForVerifying(const Json& jwk) {
  const auto use = jwk.find("use");
  if (use != jwk.end() && *use != "sig") return false;
  const auto operations = jwk.find("key_ops");
  if (operations == jwk.end()) return true;
  return operations->is_array() &&
         std::find(operations->begin(), operations->end(), "verify") !=
             operations->end();
}

// Nothing: not a key that is taken.
std::optional<Jwk> ReadKey(const Json& jwk) {
  if (!jwk.is_object() || !IsForVerifying(jwk)) return std::nullopt;
  Jwk read;
  if (jwk.contains("kid")) {
    std::optional<std::string> kid = StringOf(jwk, "kid");
    if (!kid.has_value() || kid->size() > kMaxKidBytes) return std::nullopt;
    read.kid = *std::move(kid);
  }
  if (jwk.contains("alg")) {
    const std::optional<std::string> name = StringOf(jwk, "alg");
    if (name.has_value()) read.only = ParseJwtAlgorithm(*name);
    if (!read.only.has_value()) return std::nullopt;
  }
  const std::optional<std::string> type = StringOf(jwk, "kty");
  read.is_rsa = type == "RSA";
  if (read.is_rsa) {
    read.key = RsaKey(jwk);
  } else if (type == "EC") {
    read.key = EcKey(jwk);
  }
  if (read.key == nullptr) return std::nullopt;
  return read;
}

}  // namespace

absl::string_view JwtAlgorithmName(JwtAlgorithm algorithm) {
  for (const auto& [known, name] : kAlgorithms) {
    if (known == algorithm) return name;
  }
  return "";
}

std::optional<JwtAlgorithm> ParseJwtAlgorithm(absl::string_view name) {
  for (const auto& [algorithm, known] : kAlgorithms) {
    if (known == name) return algorithm;
  }
  return std::nullopt;
}

bool Jwk::Takes(JwtAlgorithm algorithm) const {
  if (only.has_value() && *only != algorithm) return false;
  return is_rsa != (algorithm == JwtAlgorithm::kEs256);
}

absl::StatusOr<JwkSet> JwkSet::Parse(absl::string_view text) {
  if (text.size() > kMaxBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the key set has ", text.size(), " bytes, may have ", kMaxBytes));
  }
  ASSIGN_OR_RETURN(const Json json, ParseStrictObject(text));
  const auto keys = json.find("keys");
  if (keys == json.end() || !keys->is_array()) {
    return absl::InvalidArgumentError("the key set has no array \"keys\"");
  }
  if (keys->size() > kMaxKeys) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the key set has ", keys->size(), " keys, may have ", kMaxKeys));
  }
  JwkSet set;
  for (const Json& jwk : *keys) {
    std::optional<Jwk> key = ReadKey(jwk);
    if (!key.has_value()) {
      ++set.skipped_;
      continue;
    }
    for (const Jwk& other : set.keys_) {
      // The same key, once for each of its algorithms, is not two.
      if (!key->kid.empty() && other.kid == key->kid &&
          EVP_PKEY_eq(other.key.get(), key->key.get()) != 1 &&
          other.is_rsa == key->is_rsa) {
        return absl::InvalidArgumentError(
            "the key set has two different keys of one kid");
      }
    }
    set.keys_.push_back(*std::move(key));
  }
  return set;
}

const Jwk* JwkSet::Find(const std::optional<std::string>& kid,
                        JwtAlgorithm algorithm) const {
  const Jwk* found = nullptr;
  for (const Jwk& key : keys_) {
    if (!key.Takes(algorithm)) continue;
    if (kid.has_value()) {
      if (!key.kid.empty() && key.kid == *kid) return &key;
      continue;
    }
    if (found != nullptr) return nullptr;
    found = &key;
  }
  return found;
}

}  // namespace insula::auth
