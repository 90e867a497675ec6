#include "libs/remote_write/series_hash.h"

#include <array>
#include <cstring>
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

// Two for each pair of words, and for the last.
using BlockKeys = std::array<uint64_t, kMaxBlockBytes / 8 + 2>;

uint64_t Random64(std::random_device* random) {
  const uint64_t high = (*random)();
  return high << 32 | (*random)();
}

BlockKeys MakeBlockKeys() {
  std::random_device random;
  BlockKeys keys;
  for (uint64_t& key : keys) key = Random64(&random);
  return keys;
}

// GCC makes many more instructions of absl::uint128.
using Uint128 = unsigned __int128;

inline Uint128 HashOfPair(const char* p, const uint64_t* keys) {
  uint64_t words[2];
  std::memcpy(words, p, sizeof(words));
  return static_cast<Uint128>(words[0] + keys[0]) * (words[1] + keys[1]);
}

}  // namespace

uint64_t HashOfLabel(absl::string_view field) {
  static const Secret secret = MakeSecret();
  return XXH3_64bits_withSecret(field.data(), field.size(), secret.data(),
                                sizeof(secret));
}

absl::uint128 HashOfBlock(absl::string_view block) {
  static const BlockKeys all_keys = MakeBlockKeys();
  constexpr size_t kPair = 16;
  const uint64_t* keys = all_keys.data();
  const char* p = block.data();
  const char* const last = p + block.size() - kPair;
  // Two sums, so that neither addition waits for the other.
  Uint128 sum = 0;
  Uint128 other = 0;
  for (; last - p > static_cast<ptrdiff_t>(kPair); p += 2 * kPair, keys += 4) {
    sum += HashOfPair(p, keys);
    other += HashOfPair(p + kPair, keys + 2);
  }
  if (p < last) {
    sum += HashOfPair(p, keys);
    keys += 2;
  }
  return sum + other + HashOfPair(last, keys);
}

absl::uint128 RandomSalt() {
  std::random_device random;
  const uint64_t high = Random64(&random);
  return absl::MakeUint128(high, Random64(&random));
}

}  // namespace insula::remote_write
