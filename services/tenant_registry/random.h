// Random names that nobody can guess or hit twice.
#pragma once

#include <openssl/rand.h>

#include <cstdlib>
#include <string>

#include "absl/strings/escaping.h"

namespace insula::tenant_registry {

// 128 random bits: 16 bytes.
inline std::string RandomUid() {
  std::string bytes(16, '\0');
  // Fails only if the system has no randomness at all.
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()),
                 static_cast<int>(bytes.size())) != 1) {
    std::abort();
  }
  return bytes;
}

// 32 hex digits.
inline std::string RandomEpoch() { return absl::BytesToHexString(RandomUid()); }

}  // namespace insula::tenant_registry
