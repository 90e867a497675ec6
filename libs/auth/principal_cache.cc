#include "libs/auth/principal_cache.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/tenancy/fact.h"

namespace insula::auth {
namespace {

// No scheme has a blank.
std::string KeyOf(const Credential& credential) {
  return tenancy::Sha256(absl::StrCat(credential.scheme, " ", credential.text));
}

}  // namespace

std::optional<Principal> PrincipalCache::Find(const Credential& credential,
                                              absl::Time steady,
                                              absl::Time now) {
  const std::string key = KeyOf(credential);
  const sync::MutexLock lock(&mutex_);
  const auto it = by_key_.find(key);
  if (it == by_key_.end()) return std::nullopt;
  const Entries::iterator entry = it->second;
  if (steady >= entry->until || now >= entry->principal.expires) {
    Erase(entry);
    return std::nullopt;
  }
  entries_.splice(entries_.begin(), entries_, entry);
  return entry->principal;
}

void PrincipalCache::Put(const Credential& credential, Principal principal,
                         absl::Time steady) {
  if (options_.max_entries == 0) return;
  std::string key = KeyOf(credential);
  const sync::MutexLock lock(&mutex_);
  if (const auto it = by_key_.find(key); it != by_key_.end()) {
    Erase(it->second);
  }
  if (entries_.size() >= options_.max_entries) Erase(std::prev(entries_.end()));
  entries_.push_front(
      Entry{std::move(key), std::move(principal), steady + options_.ttl});
  by_key_.emplace(entries_.front().key, entries_.begin());
}

void PrincipalCache::Forget(const Credential& credential) {
  const std::string key = KeyOf(credential);
  const sync::MutexLock lock(&mutex_);
  const auto it = by_key_.find(key);
  if (it != by_key_.end()) Erase(it->second);
}

size_t PrincipalCache::size() {
  const sync::MutexLock lock(&mutex_);
  return entries_.size();
}

void PrincipalCache::Erase(Entries::iterator entry) {
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

}  // namespace insula::auth
