#include "libs/tenancy/set_digest.h"

#include <xxhash.h>

#include "absl/container/inlined_vector.h"

namespace insula::tenancy {
namespace {

namespace v1 = ::insula::registry::v1;

template <typename Bytes>
void AppendLittleEndian(uint64_t value, int bytes, Bytes* to) {
  for (int i = 0; i < bytes; ++i) {
    to->push_back(static_cast<char>(value >> (8 * i) & 0xff));
  }
}

uint64_t NumberOf(v1::Kind kind, absl::string_view id, int64_t mod_revision) {
  absl::InlinedVector<char, 12 + 256> bytes;  // Room for an id that is valid.
  AppendLittleEndian(static_cast<uint32_t>(kind), 4, &bytes);
  AppendLittleEndian(static_cast<uint64_t>(mod_revision), 8, &bytes);
  bytes.insert(bytes.end(), id.begin(), id.end());
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace

void SetDigest::Add(v1::Kind kind, absl::string_view id, int64_t mod_revision) {
  Sum& sum = kinds_[kind];
  ++sum.count;
  sum.sum += NumberOf(kind, id, mod_revision);
}

void SetDigest::Remove(v1::Kind kind, absl::string_view id,
                       int64_t mod_revision) {
  Sum& sum = kinds_[kind];
  --sum.count;
  sum.sum -= NumberOf(kind, id, mod_revision);
  if (sum == Sum()) kinds_.erase(kind);
}

SetDigest::Sum SetDigest::OfKind(v1::Kind kind) const {
  const auto it = kinds_.find(kind);
  return it == kinds_.end() ? Sum() : it->second;
}

}  // namespace insula::tenancy
