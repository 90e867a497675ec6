#include "libs/auth/jwt_signer.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "absl/strings/str_cat.h"
#include "libs/auth/base64url.h"

namespace insula::auth {
namespace {

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// `salt_bytes`: of PSS; -1 for no PSS.
std::string SignWith(EVP_PKEY* key, int salt_bytes, absl::string_view text) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* padding = nullptr;
  size_t size = 0;
  bool good =
      EVP_DigestSignInit(context, &padding, EVP_sha256(), nullptr, key) == 1;
  if (good && salt_bytes >= 0) {
    good = EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, salt_bytes) == 1;
  }
  std::string signature;
  if (good &&
      EVP_DigestSign(context, nullptr, &size, Bytes(text), text.size()) == 1) {
    signature.resize(size);
    good = EVP_DigestSign(context,
                          reinterpret_cast<unsigned char*>(signature.data()),
                          &size, Bytes(text), text.size()) == 1;
    signature.resize(good ? size : 0);
  }
  EVP_MD_CTX_free(context);
  return signature;
}

}  // namespace

SigningKey SigningKey::Ec() { return SigningKey(EVP_EC_gen("P-256")); }
SigningKey SigningKey::Rsa(unsigned bits) {
  return SigningKey(EVP_RSA_gen(bits));
}

std::string SigningKey::Number(const char* name) const {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(key_.get(), name, &number);
  const bool is_coordinate = EVP_PKEY_is_a(key_.get(), "EC") == 1;
  std::string bytes(
      is_coordinate ? 32 : static_cast<size_t>(BN_num_bytes(number)), '\0');
  BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()),
               static_cast<int>(bytes.size()));
  BN_free(number);
  return EncodeBase64Url(bytes);
}

std::string SigningKey::PublicJwk(absl::string_view kid,
                                  absl::string_view more) const {
  const std::string numbers =
      EVP_PKEY_is_a(key_.get(), "EC") == 1
          ? absl::StrCat(R"("kty":"EC","crv":"P-256","x":")",
                         Number(OSSL_PKEY_PARAM_EC_PUB_X), R"(","y":")",
                         Number(OSSL_PKEY_PARAM_EC_PUB_Y), "\"")
          : absl::StrCat(R"("kty":"RSA","n":")", Number(OSSL_PKEY_PARAM_RSA_N),
                         R"(","e":")", Number(OSSL_PKEY_PARAM_RSA_E), "\"");
  return absl::StrCat("{", numbers, R"(,"kid":")", kid, "\"", more, "}");
}

std::string SigningKey::PublicPem() const {
  BIO* memory = BIO_new(BIO_s_mem());
  PEM_write_bio_PUBKEY(memory, key_.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  std::string pem(data, static_cast<size_t>(size));
  BIO_free(memory);
  return pem;
}

std::string SigningKey::SignDer(absl::string_view text) const {
  return SignWith(key_.get(), -1, text);
}

std::string SigningKey::SignPss(int salt_bytes, absl::string_view text) const {
  return SignWith(key_.get(), salt_bytes, text);
}

std::string SigningKey::Sign(JwtAlgorithm algorithm,
                             absl::string_view text) const {
  if (algorithm == JwtAlgorithm::kPs256) return SignPss(32, text);
  std::string signature = SignDer(text);
  if (algorithm == JwtAlgorithm::kRs256) return signature;
  const unsigned char* der = Bytes(signature);
  ECDSA_SIG* parsed =
      d2i_ECDSA_SIG(nullptr, &der, static_cast<long>(signature.size()));
  std::string raw(64, '\0');
  auto* out = reinterpret_cast<unsigned char*>(raw.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(parsed), out, 32);
  BN_bn2binpad(ECDSA_SIG_get0_s(parsed), out + 32, 32);
  ECDSA_SIG_free(parsed);
  return raw;
}

std::string SigningKey::Token(JwtAlgorithm algorithm, absl::string_view header,
                              absl::string_view claims) const {
  const std::string text = SignedText(header, claims);
  return absl::StrCat(text, ".", EncodeBase64Url(Sign(algorithm, text)));
}

std::string SignedText(absl::string_view header, absl::string_view claims) {
  return absl::StrCat(EncodeBase64Url(header), ".", EncodeBase64Url(claims));
}

std::string Hmac(absl::string_view key, absl::string_view text) {
  std::string mac(32, '\0');
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), Bytes(text),
       text.size(), reinterpret_cast<unsigned char*>(mac.data()), nullptr);
  return mac;
}

}  // namespace insula::auth
