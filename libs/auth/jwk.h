// The public keys of an issuer of JWTs: a JWK set (RFC 7517, RFC 7518).
#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::auth {

// How a JWT is signed (RFC 7518 §3.1). There is no other: neither `none` nor
// what is checked with a shared secret can be expressed.
enum class JwtAlgorithm {
  kRs256,  // RSASSA-PKCS1-v1_5, SHA-256
  kPs256,  // RSASSA-PSS, SHA-256, salt of 32 bytes
  kEs256,  // ECDSA on P-256, SHA-256
};

// "RS256", "PS256", "ES256".
absl::string_view JwtAlgorithmName(JwtAlgorithm algorithm);
std::optional<JwtAlgorithm> ParseJwtAlgorithm(absl::string_view name);

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

// A public key and what it may be used for.
struct Jwk {
  std::string kid;  // Empty: it has none.
  bool is_rsa = false;
  std::optional<JwtAlgorithm> only;  // It says that it is for no other.
  std::unique_ptr<EVP_PKEY, FreeKey> key;

  // Whether a signature by `algorithm` may be checked with it.
  bool Takes(JwtAlgorithm algorithm) const;
};

// Immutable, thread-safe.
class JwkSet {
 public:
  static constexpr size_t kMaxBytes = size_t{1} << 20;
  static constexpr size_t kMaxKeys = 100;

  // Reads a JWK set. Keys that can't check any signature of ours are passed
  // over and counted: other types and curves, RSA below 2048 bits or above
  // 8192, `use` other than "sig", `key_ops` without "verify", other `alg`,
  // points that are not on their curve. INVALID_ARGUMENT: not a JWK set, too
  // large, or a kid that two usable keys have, which differ.
  static absl::StatusOr<JwkSet> Parse(absl::string_view text);

  // The key that checks a signature by `algorithm` of a token with this kid.
  // Without a kid: the only key that could. Null if there is none, or several.
  const Jwk* Find(const std::optional<std::string>& kid,
                  JwtAlgorithm algorithm) const;

  size_t size() const { return keys_.size(); }
  size_t skipped() const { return skipped_; }

 private:
  std::vector<Jwk> keys_;
  size_t skipped_ = 0;
};

}  // namespace insula::auth
