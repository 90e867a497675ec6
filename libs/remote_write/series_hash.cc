#include "libs/remote_write/series_hash.h"

#include <array>
#include <random>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace insula::remote_write {
namespace {

using Secret = std::array<uint32_t, XXH3_SECRET_DEFAULT_SIZE / 4>;

Secret MakeSecret() {
  std::random_device random;
  Secret secret;
  for (uint32_t& word : secret) word = static_cast<uint32_t>(random());
  return secret;
}

}  // namespace

uint64_t HashOfLabel(absl::string_view field) {
  static const Secret secret = MakeSecret();
  return XXH3_64bits_withSecret(field.data(), field.size(), secret.data(),
                                sizeof(secret));
}

}  // namespace insula::remote_write
