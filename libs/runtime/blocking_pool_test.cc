#include "libs/runtime/blocking_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <latch>
#include <thread>
#include <vector>

#include "libs/metrics/metrics.h"
#include "libs/status/status_matchers.h"

namespace insula::runtime {
namespace {

namespace asio = boost::asio;
using testing::HasSubstr;

// Runs `work` in `pool`, on behalf of `caller`.
std::future<absl::Status> Spawn(asio::thread_pool& caller, BlockingPool& pool,
                                std::function<absl::Status()> work) {
  return asio::co_spawn(caller, pool.Run(std::move(work)), asio::use_future);
}

// Which threads a piece of work and what came after it ran on.
struct Threads {
  std::thread::id before;
  std::thread::id work;
  std::thread::id after;
};
asio::awaitable<Threads> RunAndNoteThreads(BlockingPool* pool) {
  Threads threads;
  threads.before = std::this_thread::get_id();
  const std::function<absl::Status()> note = [&threads] {
    threads.work = std::this_thread::get_id();
    return absl::OkStatus();
  };
  EXPECT_THAT(co_await pool->Run(note), IsOk());
  threads.after = std::this_thread::get_id();
  co_return threads;
}

TEST(BlockingPoolTest, WorkRunsInThePoolAndTheCallerResumesAtHome) {
  asio::thread_pool caller(1);
  BlockingPool pool(1, 10);
  const Threads threads =
      asio::co_spawn(caller, RunAndNoteThreads(&pool), asio::use_future).get();

  EXPECT_NE(threads.work, threads.before);
  EXPECT_EQ(threads.after, threads.before);
}

TEST(BlockingPoolTest, TheStatusOfTheWorkIsReturned) {
  asio::thread_pool caller(1);
  BlockingPool pool(2, 10);
  EXPECT_THAT(
      Spawn(caller, pool, [] { return absl::NotFoundError("no file"); }).get(),
      StatusIs(absl::StatusCode::kNotFound, "no file"));
}

TEST(BlockingPoolTest, AFullQueueRefusesAndCounts) {
  metrics::Registry metrics;
  asio::thread_pool caller(1);
  std::latch open(1);
  std::latch running(1);
  BlockingPool pool(1, 1, &metrics);
  const auto wait = [&open] {
    open.wait();
    return absl::OkStatus();
  };
  auto first = Spawn(caller, pool, [&] {
    running.count_down();
    return wait();
  });
  running.wait();
  auto second = Spawn(caller, pool, wait);
  auto third = Spawn(caller, pool, wait);

  EXPECT_THAT(third.get(), StatusIs(absl::StatusCode::kResourceExhausted,
                                    HasSubstr("queue for blocking work")));
  EXPECT_THAT(
      metrics.Expose(),
      testing::AllOf(HasSubstr("\ninsula_blocking_pool_refused_total 1\n"),
                     HasSubstr("\ninsula_blocking_pool_waiting 1\n")));
  open.count_down();
  EXPECT_THAT(first.get(), IsOk());
  EXPECT_THAT(second.get(), IsOk());
  EXPECT_THAT(Spawn(caller, pool, wait).get(), IsOk());
}

TEST(BlockingPoolTest, TheDestructorFinishesWhatWasQueued) {
  asio::thread_pool caller(1);
  std::atomic<int> done = 0;
  std::vector<std::future<absl::Status>> results;
  std::latch open(1);
  std::latch queued(1);
  {
    BlockingPool pool(1, 100);
    results.push_back(Spawn(caller, pool, [&] {
      open.wait();
      ++done;
      return absl::OkStatus();
    }));
    for (int i = 0; i < 20; ++i) {
      results.push_back(Spawn(caller, pool, [&done] {
        ++done;
        return absl::OkStatus();
      }));
    }
    // The caller has one thread, so this runs after they were queued.
    asio::post(caller, [&queued] { queued.count_down(); });
    queued.wait();
    open.count_down();
  }
  EXPECT_EQ(done, 21);
  for (auto& result : results) EXPECT_THAT(result.get(), IsOk());
}

TEST(BlockingPoolTest, TheCallersExecutorWaitsForIt) {
  BlockingPool pool(1, 10);
  std::latch open(1);
  asio::thread_pool caller(1);
  auto result = Spawn(caller, pool, [&open] {
    open.wait();
    return absl::OkStatus();
  });
  std::thread opener([&open] { open.count_down(); });
  caller.join();
  opener.join();
  EXPECT_EQ(result.wait_for(std::chrono::seconds(0)),
            std::future_status::ready);
}

}  // namespace
}  // namespace insula::runtime
