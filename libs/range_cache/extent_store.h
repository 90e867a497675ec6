// Extents in memory, within bounds for each tenant and in all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/range_cache/extent.h"
#include "libs/sync/mutex.h"

namespace insula::range_cache {

// Under a key stand extents of one grid which do not overlap. A key is found by
// all of its bytes; its hash only says where to look.
//
// What is over a tenant's quota is what that tenant used least recently; what
// is over the whole is what the tenant used least recently that holds most. So
// who asks for much displaces nothing of those who hold little.
//
// Thread-safe. Locks are held for look-ups, never while text is copied.
class ExtentStore {
 public:
  struct Options {
    size_t max_bytes = 256 << 20;
    absl::Duration ttl = absl::Hours(1);  // From `read_at` of an extent.
    // What part of a hash counts. For tests, in which all keys shall collide.
    uint64_t hash_mask = ~uint64_t{0};
  };
  using Extents = std::vector<std::shared_ptr<const Extent>>;

  // Keys that went, by why. An expired extent is counted by itself.
  struct Evictions {
    uint64_t quota = 0;
    uint64_t memory = 0;
    uint64_t expired = 0;
  };

  explicit ExtentStore(Options options);
  ~ExtentStore();

  // What is kept under `key`, in the order of time.
  Extents Find(absl::string_view key, absl::Time now)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Adds what `extent` has and the key has not yet. Neighbours become one when
  // they are of about one size, so that a key that grows by a step at a time
  // keeps few extents and is seldom copied. Kept only if `quota`, that of the
  // tenant in bytes, and the bound of the whole can hold the key.
  void Put(absl::string_view tenant_uid, absl::string_view key,
           const std::shared_ptr<const Extent>& extent, size_t quota,
           absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);

  // Forgets what is kept of a tenant.
  void Drop(absl::string_view tenant_uid) ABSL_LOCKS_EXCLUDED(mutex_);

  size_t bytes() const ABSL_LOCKS_EXCLUDED(mutex_);
  size_t keys() const ABSL_LOCKS_EXCLUDED(mutex_);
  size_t BytesOf(absl::string_view tenant_uid) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  Evictions evictions() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Tenant;
  struct Entry;
  struct Hash {
    using is_transparent = void;
    uint64_t mask;
    size_t operator()(absl::string_view key) const {
      return absl::Hash<absl::string_view>()(key) & mask;
    }
    size_t operator()(const std::unique_ptr<Entry>& entry) const;
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(absl::string_view key,
                    const std::unique_ptr<Entry>& entry) const;
    bool operator()(const std::unique_ptr<Entry>& entry,
                    absl::string_view key) const {
      return (*this)(key, entry);
    }
    bool operator()(const std::unique_ptr<Entry>& a,
                    const std::unique_ptr<Entry>& b) const;
  };
  using Entries = absl::flat_hash_set<std::unique_ptr<Entry>, Hash, Equal>;

  Extents Get(absl::string_view key, uint64_t* version)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // False: the key has changed since `version`.
  bool Replace(absl::string_view tenant_uid, absl::string_view key,
               uint64_t version, Extents extents, size_t quota)
      ABSL_LOCKS_EXCLUDED(mutex_);
  Entry* FindEntry(absl::string_view key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Entry* AddEntry(absl::string_view tenant_uid, absl::string_view key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Remove(Entry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Resize(Entry* entry, size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Evict(Tenant* tenant, size_t quota)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  size_t DropExpired(Extents* extents, absl::Time now) const;

  const Options options_;

  mutable sync::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  // Of those that have entries.
  std::map<std::string, std::unique_ptr<Tenant>, std::less<>> tenants_
      ABSL_GUARDED_BY(mutex_);
  std::set<std::pair<size_t, Tenant*>> by_bytes_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_version_ ABSL_GUARDED_BY(mutex_) = 0;
  Evictions evictions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::range_cache
