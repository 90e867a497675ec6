// A small pool of threads for work that may block: fsync, SQLite, files.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace insula::runtime {

// Thread-safe. At most `queue_limit` pieces of work wait; further ones are
// refused with RESOURCE_EXHAUSTED.
class BlockingPool {
 public:
  BlockingPool(int threads, int queue_limit);
  ~BlockingPool();  // Finishes what was queued.

  // Runs `work` in the pool and resumes on the caller's executor.
  //
  //   CO_RETURN_IF_ERROR(co_await process.blocking().Run(save));
  boost::asio::awaitable<absl::Status> Run(std::function<absl::Status()> work);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace insula::runtime
