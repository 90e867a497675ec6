// Makes keys and signs tokens, honest and forged ones, for tests.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "libs/auth/jwk.h"

namespace insula::auth {

// A private key.
class SigningKey {
 public:
  // EC on P-256, or RSA of so many bits.
  static SigningKey Ec();
  static SigningKey Rsa(unsigned bits = 2048);

  // A member of a JWK set: type, numbers and kid, and then `more`, as in
  // `,"alg":"RS256"`.
  std::string PublicJwk(absl::string_view kid,
                        absl::string_view more = "") const;
  // In PEM.
  std::string PublicPem() const;

  // The bytes of the signature of `text`.
  std::string Sign(JwtAlgorithm algorithm, absl::string_view text) const;
  // A signature of PS256 with another salt than 32 bytes.
  std::string SignPss(int salt_bytes, absl::string_view text) const;
  // ECDSA as it comes from OpenSSL, in DER.
  std::string SignDer(absl::string_view text) const;

  // A token of these two objects.
  std::string Token(JwtAlgorithm algorithm, absl::string_view header,
                    absl::string_view claims) const;

 private:
  explicit SigningKey(EVP_PKEY* key) : key_(key) {}
  std::string Number(const char* name) const;

  std::unique_ptr<EVP_PKEY, FreeKey> key_;
};

// "base64url(header).base64url(claims)".
std::string SignedText(absl::string_view header, absl::string_view claims);
// HMAC-SHA-256.
std::string Hmac(absl::string_view key, absl::string_view text);

}  // namespace insula::auth
