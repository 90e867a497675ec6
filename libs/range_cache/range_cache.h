// Keeps answers to range queries, so that a store is asked only for what is
// new.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/metrics/metrics.h"
#include "libs/range_cache/cache_key.h"
#include "libs/range_cache/query_traits.h"
#include "libs/time/clock.h"

namespace insula::range_cache {

// What a store answered, or what is put together from such answers.
struct Answer {
  int http_status = 200;
  std::string body;  // Valid JSON.
  // False: not to be kept, though it looks as if it could be: some of it was
  // left out, or the store said no-store.
  bool storable = true;
};

// The steps of a query are split into pieces (see time_grid.h); for each piece,
// what is kept of it is taken, and the store is asked for the rest, in requests
// that are steps of the user's own. The answer is the one that the store would
// have given to the whole, but for the space between the tokens and, where a
// store does not sort by labels, the order of series; three things may differ:
//  - what was written later than the freshness window says, or deleted, shows
//    when it has left the cache, after `ttl` at the latest;
//  - who joins a request that is under way gets what the store said to that,
//    and what was written in between may be missing;
//  - two series without a name that have the same labels at different steps are
//    one, where some stores refuse them within one request.
//
// Kept are answers of status 200 without warnings or infos, at steps that no
// data within the freshness window decides; not queries with `@ start()` or
// `@ end()`, and nothing that extent.h can't read: those go to the store as
// they came. An error for a piece is the answer to the whole.
//
// Thread-safe; outlives its calls, but work that nobody waits for may end after
// it. Metrics: insula_range_cache_requests_total{result}, by "hit" (the store
// was not asked), "partial", "miss" and "bypass";
// insula_range_cache_joined_total, insula_range_cache_bytes,
// insula_range_cache_keys, insula_range_cache_evicted_total{reason}.
class RangeCache {
 public:
  struct Options {
    size_t max_bytes = 256 << 20;
    absl::Duration ttl = absl::Hours(1);
    // What is younger may change still: samples come late, or out of order.
    absl::Duration freshness = absl::Minutes(10);
    size_t max_answer_bytes = 64 << 20;  // Put together from pieces.
    int max_parallel = 4;                // Requests for one query at once.
    uint64_t hash_mask = ~uint64_t{0};   // See ExtentStore.
  };
  struct Environment {
    // Where answers of more than 512 KiB are taken apart and put together: an
    // event loop must not be held up so long.
    boost::asio::any_io_executor executor;
    const Clock* clock = nullptr;  // Wall-clock.
    metrics::Registry* metrics = nullptr;
    // All outlive it.
  };

  // Asks the store for the steps start, start + step, ... up to end, until
  // `deadline`. Runs on a strand of its own, on what the caller's strand is on;
  // may outlive the call that it was given to, and so owns what it uses.
  // Cancelled when nobody waits for it.
  using Fetch = std::function<boost::asio::awaitable<absl::StatusOr<Answer>>(
      absl::Time start, absl::Time end, absl::Time deadline)>;

  RangeCache(Options options, Environment environment);
  ~RangeCache();

  // The answer to `query`, whose traits are those of its text. `quota`: what
  // may be kept of the tenant, in bytes; 0 nothing. Errors are those of
  // `fetch`; DEADLINE_EXCEEDED at `deadline`, CANCELLED if the calling
  // coroutine was, RESOURCE_EXHAUSTED if the whole is too large. The caller
  // runs on a strand.
  boost::asio::awaitable<absl::StatusOr<Answer>> Query(RangeQuery query,
                                                       QueryTraits traits,
                                                       size_t quota,
                                                       Fetch fetch,
                                                       absl::Time deadline);

  // Forgets what is kept of a tenant.
  void Drop(absl::string_view tenant_uid);

  size_t bytes() const;
  size_t BytesOf(absl::string_view tenant_uid) const;

 private:
  struct State;
  struct Request;
  const std::shared_ptr<State> state_;
  metrics::CollectHook hook_;
};

}  // namespace insula::range_cache
