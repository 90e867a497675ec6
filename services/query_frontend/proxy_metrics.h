// The metrics of prometheus-multi-tenant-proxy, by the names that its
// dashboards have, and what they tell of stores.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/http/url.h"
#include "libs/metrics/metrics.h"
#include "libs/sync/mutex.h"
#include "services/query_frontend/endpoint.h"

namespace insula::query_frontend {

// Labels come from small sets: the endpoints, GET, POST and "other", statuses,
// and the stores of the registry, of which further ones than 1,000 are "other".
// Thread-safe.
class ProxyMetrics {
 public:
  // What is known of a store by the last request to it.
  struct Store {
    std::string url;
    bool answered = true;
    absl::Time last_seen = absl::InfinitePast();  // It answered.
  };

  explicit ProxyMetrics(metrics::Registry* registry);

  // A request to `endpoint` was answered with `status` after `time`.
  void NoteRequest(Endpoint endpoint, absl::string_view method, int status,
                   absl::Duration time);

  // A store answered with `status`; 0: not at all.
  void NoteStore(const http::Url& url, int status, absl::Time now)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Nothing but the URL of a store that was not asked yet.
  Store StoreAt(const http::Url& url) const ABSL_LOCKS_EXCLUDED(mutex_);

  metrics::Gauge& targets_discovered;
  metrics::Gauge& tenants_active;

 private:
  static constexpr size_t kMethods = 3;
  // We answer with 200 and 400 to 504 only.
  static constexpr size_t kCodes = 106;
  static constexpr size_t kRows = kEndpointCount * kMethods;

  struct KnownStore {
    Store store;
    absl::flat_hash_map<int, metrics::Counter*> requests;  // By status.
  };

  metrics::Registry* const registry_;
  // A registry's look-up takes a lock, so children are remembered.
  std::array<std::atomic<metrics::Histogram*>, kRows> durations_{};
  std::array<std::atomic<metrics::Counter*>, kRows * kCodes> requests_{};
  mutable sync::Mutex mutex_;
  absl::flat_hash_map<std::string, KnownStore> stores_ ABSL_GUARDED_BY(mutex_);
};

// A store's URL without a query, which may hold what is secret.
std::string PlainUrl(const http::Url& url);

}  // namespace insula::query_frontend
