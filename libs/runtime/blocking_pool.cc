#include "libs/runtime/blocking_pool.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace insula::runtime {

namespace asio = boost::asio;

struct BlockingPool::State {
  State(int thread_count, int limit, metrics::Registry* metrics)
      : threads(thread_count), queue_limit(limit), pool(thread_count) {
    if (metrics == nullptr) return;
    refused = &metrics->AddCounter("insula_blocking_pool_refused_total",
                                   "Blocking work refused, the queue is full.");
    metrics::Gauge& waiting = metrics->AddGauge(
        "insula_blocking_pool_waiting", "Blocking work that waits to run.");
    hook = metrics->OnCollect(
        [this, &waiting] { waiting.Set(std::max(0, pending - threads)); });
  }

  // Whether one more piece of work may come.
  bool Enter() {
    if (pending.fetch_add(1) < threads + queue_limit) return true;
    --pending;
    if (refused != nullptr) refused->Increment();
    return false;
  }

  const int threads;
  const int queue_limit;
  std::atomic<int> pending = 0;  // Waiting and running.
  metrics::Counter* refused = nullptr;
  asio::thread_pool pool;
  metrics::CollectHook hook;
};

BlockingPool::BlockingPool(int threads, int queue_limit,
                           metrics::Registry* metrics)
    : state_(std::make_unique<State>(threads, queue_limit, metrics)) {}

BlockingPool::~BlockingPool() { state_->pool.join(); }

asio::awaitable<absl::Status> BlockingPool::Run(
    std::function<absl::Status()> work) {
  State* const state = state_.get();
  if (!state->Enter()) {
    co_return absl::ResourceExhaustedError(absl::StrCat(
        "the queue for blocking work is full (", state->queue_limit, ")"));
  }
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>,
                                          void(absl::Status)>(
      [state](auto handler, std::function<absl::Status()> job) {
        // Keeps the caller's executor from running out of work meanwhile.
        auto resume = asio::prefer(asio::get_associated_executor(handler),
                                   asio::execution::outstanding_work.tracked);
        asio::post(state->pool, [state, resume, job = std::move(job),
                                 handler = std::move(handler)]() mutable {
          absl::Status status = job();
          job = nullptr;  // Before the caller resumes: it may refer to it.
          --state->pending;
          asio::post(resume, [handler = std::move(handler),
                              status = std::move(status)]() mutable {
            std::move(handler)(std::move(status));
          });
        });
      },
      asio::use_awaitable, std::move(work));
}

}  // namespace insula::runtime
