#include "libs/range_cache/cache_key.h"

#include <cstddef>

namespace insula::range_cache {
namespace {

void AppendNumber(uint64_t number, std::string* out) {
  for (int i = 0; i < 8; ++i) {
    out->push_back(static_cast<char>(number >> (8 * i)));
  }
}

void AppendText(absl::string_view text, std::string* out) {
  AppendNumber(text.size(), out);
  out->append(text.data(), text.size());
}

}  // namespace

std::string CacheKey(const RangeQuery& query, const Steps& steps,
                     int64_t piece) {
  size_t size = 128 + query.text.size();
  for (const std::string& part : query.scope) size += 8 + part.size();
  std::string key;
  key.reserve(size);
  AppendText(query.tenant_uid, &key);
  AppendText(query.policy, &key);
  AppendNumber(query.scope.size(), &key);
  for (const std::string& part : query.scope) AppendText(part, &key);
  AppendText(query.text, &key);
  AppendNumber(static_cast<uint64_t>(steps.step), &key);
  const int64_t phase = (steps.first % steps.step + steps.step) % steps.step;
  AppendNumber(static_cast<uint64_t>(phase), &key);
  AppendNumber(static_cast<uint64_t>(piece), &key);
  return key;
}

}  // namespace insula::range_cache
