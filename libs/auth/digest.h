// Digests that stand for a credential, so that none is kept.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "libs/secret/secret.h"

namespace insula::auth {

using Digest = std::array<uint8_t, 32>;

// SHA-256 of `text`. Aborts if OpenSSL can't.
Digest Sha256Of(absl::string_view text);

// HMAC-SHA-256 of parts, each with its length before it: ("ab", "c") and
// ("a", "bc") differ. Without the key nobody can make two inputs collide, nor
// tell from a stolen table which password is in it.
//
//   const Digest key = KeyedDigest(secret).Add(user).Add(password).Finish();
class KeyedDigest {
 public:
  explicit KeyedDigest(const Secret& key);
  KeyedDigest& Add(absl::string_view part);
  Digest Finish();  // Once.

 private:
  struct Free {
    void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
  };
  std::unique_ptr<EVP_MAC_CTX, Free> context_;
};

// 32 random bytes, for KeyedDigest. Aborts if the system has none.
Secret RandomKey();

}  // namespace insula::auth
