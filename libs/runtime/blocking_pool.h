// A small pool of threads for work that may block: fsync, SQLite, files.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "libs/metrics/metrics.h"

namespace insula::runtime {

// Thread-safe. At most `queue_limit` pieces of work wait; further ones are
// refused with RESOURCE_EXHAUSTED.
//
// Metrics, if given a registry: insula_blocking_pool_waiting and
// insula_blocking_pool_refused_total.
class BlockingPool {
 public:
  // `metrics` outlives the pool.
  BlockingPool(int threads, int queue_limit,
               metrics::Registry* metrics = nullptr);
  ~BlockingPool();  // Finishes what was queued.
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  // Runs `work` in the pool and resumes on the caller's executor. Cancelling
  // the caller does not interrupt it: the caller resumes when `work` is done,
  // so `work` may refer to what the caller owns.
  //
  //   CO_RETURN_IF_ERROR(co_await process.blocking().Run(save));
  boost::asio::awaitable<absl::Status> Run(std::function<absl::Status()> work);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace insula::runtime
