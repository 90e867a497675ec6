#include "libs/auth/bcrypt.h"

#include <crypt.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace insula::auth {
namespace {

constexpr size_t kHashSize = 60;  // $2b$10$, 22 of salt, 31 of hash.

// 32 KiB, which the library writes the password's traces into.
struct Scratch {
  Scratch() { std::memset(&data, 0, sizeof(data)); }
  ~Scratch() { OPENSSL_cleanse(&data, sizeof(data)); }
  crypt_data data;
};

}  // namespace

absl::StatusOr<int> BcryptCost(absl::string_view hash) {
  int cost = 0;
  if (hash.size() != kHashSize ||
      !(absl::StartsWith(hash, "$2b$") || absl::StartsWith(hash, "$2y$")) ||
      hash[6] != '$' || !absl::ascii_isdigit(hash[4]) ||
      !absl::SimpleAtoi(hash.substr(4, 2), &cost) || cost < 4 || cost > 31 ||
      !std::all_of(hash.begin() + 7, hash.end(), [](unsigned char c) {
        return absl::ascii_isalnum(c) || c == '.' || c == '/';
      })) {
    return absl::InvalidArgumentError(
        "is no bcrypt hash of kind $2b$ or $2y$: make one with 'htpasswd -nB "
        "USER'");
  }
  return cost;
}

bool BcryptMatches(const Secret& password, const std::string& hash) {
  const std::string& text = password.Reveal();
  const bool whole =
      text.size() <= kMaxBcryptPassword && text.find('\0') == std::string::npos;
  const auto scratch = std::make_unique<Scratch>();
  // Also for one that can't match: it takes as long.
  const char* const found =
      crypt_r(whole ? text.c_str() : "", hash.c_str(), &scratch->data);
  return whole && found != nullptr && std::strlen(found) == kHashSize &&
         hash.size() == kHashSize &&
         CRYPTO_memcmp(found, hash.data(), kHashSize) == 0;
}

}  // namespace insula::auth
