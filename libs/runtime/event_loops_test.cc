#include "libs/runtime/event_loops.h"

#include <gtest/gtest.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "libs/sync/run_on.h"

namespace insula::runtime {
namespace {

namespace asio = boost::asio;

std::thread::id ThreadOf(const asio::any_io_executor& executor) {
  std::promise<std::thread::id> found;
  asio::post(executor,
             [&found] { found.set_value(std::this_thread::get_id()); });
  return found.get_future().get();
}

TEST(EventLoopsTest, EachExecutorKeepsToAThreadOfItsOwn) {
  EventLoops loops(3);
  const std::vector<asio::any_io_executor> executors = loops.executors();
  ASSERT_EQ(executors.size(), 3);
  std::set<std::thread::id> threads = {std::this_thread::get_id()};
  for (const asio::any_io_executor& executor : executors) {
    const std::thread::id thread = ThreadOf(executor);
    EXPECT_TRUE(threads.insert(thread).second);
    EXPECT_EQ(ThreadOf(executor), thread);
  }
}

TEST(EventLoopsTest, FinishesWhatWasBegun) {
  EventLoops loops(2);
  int done = 0;
  const asio::any_io_executor loop = loops.executors().back();
  asio::post(loop, [&] { asio::post(loop, [&done] { ++done; }); });
  EXPECT_TRUE(loops.Finish(absl::Seconds(20)));
  EXPECT_EQ(done, 1);
}

TEST(EventLoopsTest, DropsWhatDoesNotEnd) {
  auto loops = std::make_unique<EventLoops>(1);
  const auto kept = std::make_shared<int>(1);
  auto timer = std::make_shared<asio::steady_timer>(loops->executors().front(),
                                                    std::chrono::hours(1));
  timer->async_wait([kept, timer](const boost::system::error_code&) {});
  timer = nullptr;
  EXPECT_FALSE(loops->Finish(absl::Milliseconds(1)));
  loops = nullptr;
  EXPECT_EQ(kept.use_count(), 1);
}

struct Threads {
  std::thread::id before;
  std::thread::id work;
  std::thread::id after;
};
asio::awaitable<Threads> RunAndNoteThreads(asio::any_io_executor executor) {
  Threads threads;
  threads.before = std::this_thread::get_id();
  threads.work = co_await sync::RunOn(executor, std::this_thread::get_id);
  threads.after = std::this_thread::get_id();
  co_return threads;
}

TEST(RunOnTest, RunsThereAndResumesHere) {
  EventLoops loops(2);
  const std::vector<asio::any_io_executor> executors = loops.executors();
  const Threads threads =
      asio::co_spawn(executors[0], RunAndNoteThreads(executors[1]),
                     asio::use_future)
          .get();
  EXPECT_EQ(threads.before, ThreadOf(executors[0]));
  EXPECT_EQ(threads.work, ThreadOf(executors[1]));
  EXPECT_EQ(threads.after, threads.before);
}

}  // namespace
}  // namespace insula::runtime
