#include "services/query_frontend/confined_queries.h"

#include <cstdint>
#include <iterator>
#include <list>
#include <string>
#include <tuple>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/time/time.h"
#include "libs/promql/dialect.h"
#include "libs/status/status_macros.h"
#include "libs/sync/mutex.h"
#include "libs/tenancy/read_policy.h"
#include "services/query_frontend/planted_faults.h"
#include "services/query_frontend/query_limits.h"

namespace insula::query_frontend {
namespace {

using Reads = tenancy::ReadPolicy;
using Confined = std::shared_ptr<const ConfinedQuery>;

// All that ConfineQuery() goes by, but for the limits and who reads.
struct Asked {
  absl::string_view text;
  promql::Dialect dialect;
  bool victoria_metrics;
  bool takes_filters;
  bool range_query;
  int64_t steps;

  friend bool operator==(const Asked&, const Asked&) = default;
};

struct Key {
  Asked asked;
  const std::shared_ptr<const Reads>& reads;
  size_t hash;
};

Key KeyOf(absl::string_view query, const ApiParams& params,
          const Policy& policy) {
  const Asked asked = {.text = query,
                       .dialect = policy.dialect,
                       .victoria_metrics = policy.victoria_metrics,
                       .takes_filters = policy.takes_filters,
                       .range_query = params.step > absl::ZeroDuration(),
                       .steps = params.steps()};
#ifdef INSULA_PLANT_FAULTS
  if (promql::IsPlanted("memory_key")) {
    static const std::shared_ptr<const Reads> anybody;
    return {asked, anybody, absl::Hash<absl::string_view>()(query)};
  }
#endif
  const size_t hash = absl::Hash<std::tuple<absl::string_view, const Reads*>>()(
      {query, policy.reads.get()});
  return {asked, policy.reads, hash};
}

struct Entry {
  Entry(const Key& key, Confined how)
      : text(key.asked.text),
        asked(key.asked),
        reads(key.reads),
        hash(key.hash),
        confined(std::move(how)) {
    asked.text = text;
    bytes = sizeof(Entry) + text.capacity() + sizeof(ConfinedQuery);
    for (const auto* const list : {&confined->texts, &confined->filters}) {
      for (const std::string& each : *list) {
        bytes += sizeof(each) + each.capacity();
      }
    }
  }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  // A weak pointer keeps nothing alive, and tells one owner from another even
  // when a later policy has come to stand at the same address.
  bool IsOf(const Key& key) const {
    return hash == key.hash && !reads.owner_before(key.reads) &&
           !key.reads.owner_before(reads) && asked == key.asked;
  }

  const std::string text;
  Asked asked;  // Of `text`.
  const std::weak_ptr<const Reads> reads;
  const size_t hash;
  const Confined confined;
  size_t bytes;
};

using Entries = std::list<Entry>;  // Asked for last first.

struct Hash {
  using is_transparent = void;
  size_t operator()(const Key& key) const { return key.hash; }
  size_t operator()(Entries::iterator entry) const { return entry->hash; }
};

struct Equal {
  using is_transparent = void;
  bool operator()(Entries::iterator a, Entries::iterator b) const {
    return a == b;
  }
  bool operator()(Entries::iterator entry, const Key& key) const {
    return entry->IsOf(key);
  }
  bool operator()(const Key& key, Entries::iterator entry) const {
    return entry->IsOf(key);
  }
};

}  // namespace

class ConfinedQueries::Shard {
 public:
  explicit Shard(size_t max_bytes) : max_bytes_(max_bytes) {}

  Confined Find(const Key& key) {
    const sync::MutexLock lock(&mutex_);
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, *found);
    return entries_.front().confined;
  }

  void Keep(const Key& key, const Confined& confined) {
    Entries entry;  // Made, and what goes for it freed, without the lock.
    entry.emplace_back(key, confined);
    if (entry.front().bytes > max_bytes_) return;
    Entries gone;
    const sync::MutexLock lock(&mutex_);
    // Another may have been faster.
    if (by_key_.find(key) != by_key_.end()) return;
    bytes_ += entry.front().bytes;
    entries_.splice(entries_.begin(), entry);
    by_key_.insert(entries_.begin());
    while (bytes_ > max_bytes_) {
      const auto last = std::prev(entries_.end());
      bytes_ -= last->bytes;
      by_key_.erase(last);
      gone.splice(gone.begin(), entries_, last);
    }
  }

 private:
  const size_t max_bytes_;
  sync::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<Entries::iterator, Hash, Equal> by_key_
      ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

ConfinedQueries::ConfinedQueries(size_t max_bytes, metrics::Registry* metrics)
    : remembered_(metrics->AddCounter(
          "query_frontend_queries_confined_total",
          "Queries confined to what their tenant sees, by how: remembered from "
          "the last time, or made anew.",
          {{"how", "remembered"}})),
      made_(metrics->AddCounter("query_frontend_queries_confined_total", "",
                                {{"how", "made"}})) {
  for (auto& shard : shards_) {
    shard = std::make_unique<Shard>(max_bytes / shards_.size());
  }
}

ConfinedQueries::~ConfinedQueries() = default;

absl::StatusOr<Confined> ConfinedQueries::Confine(absl::string_view query,
                                                  const ApiParams& params,
                                                  const Policy& policy) {
  RETURN_IF_ERROR(CheckQueryBytes(query, policy));
  const Key key = KeyOf(query, params, policy);
  // The table itself goes by the lower bits.
  Shard& shard = *shards_[(key.hash >> 48) % shards_.size()];
  if (Confined known = shard.Find(key); known != nullptr) {
    RETURN_IF_ERROR(
        CheckCost(known->cost, params, policy.tenant_id, policy.limits));
    remembered_.Increment();
    return known;
  }
  ASSIGN_OR_RETURN(ConfinedQuery made, ConfineQuery(query, params, policy));
  made_.Increment();
  Confined confined = std::make_shared<const ConfinedQuery>(std::move(made));
  // What the store is asked about first costs more than to confine it.
  if (query.size() <= kMaxQueryBytes && confined->unlike.empty()) {
    shard.Keep(key, confined);
  }
  return confined;
}

}  // namespace insula::query_frontend
