// The last refusals of each tenant, for people who ask what was wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/sync/mutex.h"

namespace insula::limits {

// What was refused, and why. Texts are as received: escape them.
struct Refusal {
  absl::Time at;
  std::string reason;        // "rate_limited".
  std::string caller = {};   // Who sent it: "binding/agents".
  std::string example = {};  // One of what was refused.
  std::string detail = {};   // More about the reason.
  int64_t count = 0;         // Of series, or requests.
};

// Keeps the last refusals of each tenant, and no more than a number of them in
// all: when there are too many, those of the tenant go to which nothing has
// happened for longest. Texts are cut. Thread-safe.
class Refusals {
 public:
  struct Options {
    size_t per_tenant = 100;
    size_t in_all = 20'000;
    size_t max_text_bytes = 200;
  };
  // How much is kept of a tenant.
  struct Summary {
    std::string tenant;
    size_t refusals = 0;
    absl::Time last;
  };

  Refusals() : Refusals(Options()) {}
  explicit Refusals(Options options) : options_(options) {}

  // `tenant` may be empty: of what belongs to none.
  void Add(absl::string_view tenant, Refusal refusal)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The newest first.
  std::vector<Refusal> Of(absl::string_view tenant) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Of the tenants that have some, at most `most`: those of the last refusals.
  std::vector<Summary> Tenants(size_t most) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    std::deque<Refusal> refusals;             // The newest last.
    std::list<std::string>::iterator in_use;  // In used_.
  };

  void Forget(const std::string& tenant) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  mutable sync::Mutex mutex_;
  absl::flat_hash_map<std::string, Entry> tenants_ ABSL_GUARDED_BY(mutex_);
  // The tenants, that of the last refusal first.
  std::list<std::string> used_ ABSL_GUARDED_BY(mutex_);
  size_t size_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace insula::limits
