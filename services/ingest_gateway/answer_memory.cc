#include "services/ingest_gateway/answer_memory.h"

#include <xxhash.h>

#include <iterator>
#include <utility>

#include "absl/random/random.h"

namespace insula::ingest_gateway {

AnswerMemory::AnswerMemory(Options options)
    : options_(options), seed_(absl::Uniform<uint64_t>(absl::BitGen())) {}

AnswerMemory::Key AnswerMemory::KeyOf(absl::string_view caller,
                                      absl::string_view body) const {
  const XXH128_hash_t hash =
      XXH3_128bits_withSeed(body.data(), body.size(), seed_);
  return {std::string(caller), absl::MakeUint128(hash.high64, hash.low64)};
}

uint64_t AnswerMemory::HashOf(absl::string_view part) const {
  return XXH3_64bits_withSeed(part.data(), part.size(), seed_);
}

KeptParts AnswerMemory::Find(const Key& key, absl::Time now) {
  sync::MutexLock lock(&mutex_);
  while (!entries_.empty() && entries_.front().until <= now) {
    Erase(entries_.begin());
  }
  const auto it = by_key_.find(key);
  return it == by_key_.end() ? KeptParts() : it->second->parts;
}

size_t AnswerMemory::Remember(const Key& key, const KeptParts& parts,
                              absl::Time now) {
  if (parts.empty()) return 0;
  sync::MutexLock lock(&mutex_);
  Entry entry{key, parts, now + options_.keep};
  if (const auto it = by_key_.find(key); it != by_key_.end()) {
    const KeptParts& before = it->second->parts;
    entry.parts.insert(before.begin(), before.end());
    Erase(it->second);
  }
  if (entry.parts.size() > options_.max_parts) return entry.parts.size();
  size_t forgotten = 0;
  while (!entries_.empty() &&
         (entries_.front().until <= now ||
          parts_held_ + entry.parts.size() > options_.max_parts)) {
    const Entry& oldest = entries_.front();
    if (oldest.until > now) forgotten += oldest.parts.size();
    Erase(entries_.begin());
  }
  parts_held_ += entry.parts.size();
  entries_.push_back(std::move(entry));
  by_key_[key] = std::prev(entries_.end());
  return forgotten;
}

void AnswerMemory::Forget(const Key& key) {
  sync::MutexLock lock(&mutex_);
  if (const auto it = by_key_.find(key); it != by_key_.end()) {
    Erase(it->second);
  }
}

void AnswerMemory::Erase(Entries::iterator entry) {
  parts_held_ -= entry->parts.size();
  by_key_.erase(entry->key);  // Before the entry: the key is in it.
  entries_.erase(entry);
}

}  // namespace insula::ingest_gateway
