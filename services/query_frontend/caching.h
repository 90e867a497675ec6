// Range queries whose answers are kept in part.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <future>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/config/config.h"
#include "libs/metrics/metrics.h"
#include "libs/range_cache/range_cache.h"
#include "libs/time/clock.h"
#include "services/query_frontend/asking.h"
#include "services/query_frontend/json.h"
#include "services/query_frontend/policy.h"
#include "services/query_frontend/upstream_query.h"

namespace insula::query_frontend {

// What is kept, and for how long.
struct CacheConfig {
  bool enabled = true;
  config::Bytes max_bytes{256 << 20};
  config::Bytes max_tenant_bytes{32 << 20};
  absl::Duration ttl = absl::Hours(1);
  absl::Duration freshness = absl::Minutes(10);

  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

// What `query`, asked by `policy`, is kept under: the tenant's uid, a digest of
// all that it reads, and the store with everything else that its answer depends
// on. Nothing for a query that is not kept: other than query_range of one
// tenant, or with parameters that change more than which steps there are.
std::optional<range_cache::RangeQuery> CacheableQuery(
    const UpstreamQuery& query, const Policy& policy);

// Thread-safe.
class Caching {
 public:
  struct Environment {
    boost::asio::any_io_executor executor;  // As range_cache::RangeCache's.
    const Clock* clock = nullptr;
    metrics::Registry* metrics = nullptr;
    // All outlive it.
  };

  // `asking` outlives it. `max_response` bounds answers, in bytes.
  Caching(const CacheConfig& config, Asking* asking, size_t max_response,
          Environment environment);
  // Waits until no store is asked any more for its sake. Ask() must have ended;
  // not on the executor.
  ~Caching();

  // As Asking::Ask(), which asks for what is not kept. RESOURCE_EXHAUSTED also
  // if the whole is beyond a limit of the tenant. The caller runs on a strand.
  boost::asio::awaitable<absl::StatusOr<Answer>> Ask(UpstreamQuery&& query,
                                                     const SharedPolicy& policy,
                                                     absl::Time deadline);

 private:
  struct Question;

  boost::asio::awaitable<absl::StatusOr<Answer>> AskCache(
      range_cache::RangeQuery kept, UpstreamQuery query, SharedPolicy policy,
      absl::Time deadline);

  const CacheConfig config_;
  Asking& asking_;
  // Of those who ask a store; set when the last is gone.
  std::promise<void> unused_;
  std::shared_ptr<void> in_use_;
  std::unique_ptr<range_cache::RangeCache> cache_;  // Null: off.
};

}  // namespace insula::query_frontend
