// Principals of credentials that have been verified not long ago.
#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/auth/verifier.h"
#include "libs/sync/mutex.h"

namespace insula::auth {

// Keeps the least recently used out. Credentials are known by their SHA-256, of
// scheme and whole text; they are not kept. Thread-safe.
class PrincipalCache {
 public:
  struct Options {
    size_t max_entries = 10'000;
    absl::Duration ttl = absl::Seconds(60);
  };
  explicit PrincipalCache(Options options) : options_(options) {}

  // Nothing if it is not known, its time is over, or `expires` of the principal
  // has come. `steady` never jumps, `now` is the time of day.
  std::optional<Principal> Find(const Credential& credential, absl::Time steady,
                                absl::Time now);
  void Put(const Credential& credential, Principal principal,
           absl::Time steady);
  // Forgets one that has been refused since.
  void Forget(const Credential& credential);
  size_t size();

 private:
  struct Entry {
    std::string key;
    Principal principal;
    absl::Time until;
  };
  using Entries = std::list<Entry>;  // The most recently used first.

  void Erase(Entries::iterator entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  sync::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  // The keys are parts of the entries.
  absl::flat_hash_map<absl::string_view, Entries::iterator> by_key_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::auth
