#include "libs/auth/digest.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "libs/tenancy/fact.h"

namespace insula::auth {
namespace {

// Without digests nobody could be told from anybody else.
void Demand(bool done) {
  if (done) return;
  std::fputs("OpenSSL can't compute a digest\n", stderr);
  std::abort();
}

struct FreeMac {
  void operator()(EVP_MAC* mac) const { EVP_MAC_free(mac); }
};

}  // namespace

Digest Sha256Of(absl::string_view text) {
  Digest digest = {};
  const std::string bytes = tenancy::Sha256(text);
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

KeyedDigest::KeyedDigest(const Secret& key) {
  const std::unique_ptr<EVP_MAC, FreeMac> mac(
      EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  Demand(mac != nullptr);
  context_.reset(EVP_MAC_CTX_new(mac.get()));
  std::string name = "SHA256";
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.data(), 0),
      OSSL_PARAM_construct_end()};
  const std::string& bytes = key.Reveal();
  Demand(context_ != nullptr &&
         EVP_MAC_init(context_.get(),
                      reinterpret_cast<const unsigned char*>(bytes.data()),
                      bytes.size(), params) == 1);
}

KeyedDigest& KeyedDigest::Add(absl::string_view part) {
  uint8_t length[8];
  for (size_t i = 0; i < sizeof(length); ++i) {
    length[i] =
        static_cast<uint8_t>(static_cast<uint64_t>(part.size()) >> (8 * i));
  }
  Demand(EVP_MAC_update(context_.get(), length, sizeof(length)) == 1 &&
         EVP_MAC_update(context_.get(),
                        reinterpret_cast<const unsigned char*>(part.data()),
                        part.size()) == 1);
  return *this;
}

Digest KeyedDigest::Finish() {
  Digest digest = {};
  size_t size = 0;
  Demand(EVP_MAC_final(context_.get(), digest.data(), &size, digest.size()) ==
             1 &&
         size == digest.size());
  return digest;
}

Secret RandomKey() {
  std::string key(32, '\0');
  Demand(RAND_bytes(reinterpret_cast<unsigned char*>(key.data()),
                    static_cast<int>(key.size())) == 1);
  return Secret(std::move(key));
}

}  // namespace insula::auth
