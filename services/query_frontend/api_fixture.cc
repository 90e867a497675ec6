#include "services/query_frontend/api_fixture.h"

#include <openssl/sha.h>

namespace insula::query_frontend {

std::string ApiTest::Sha256(absl::string_view text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         digest);
  return std::string(reinterpret_cast<char*>(digest), sizeof(digest));
}

}  // namespace insula::query_frontend
