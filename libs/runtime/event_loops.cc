#include "libs/runtime/event_loops.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <future>
#include <thread>

#include "absl/time/clock.h"

namespace insula::runtime {

namespace asio = boost::asio;

struct EventLoops::Loop {
  Loop() {
    std::promise<void> ended;
    end = ended.get_future();
    thread = std::thread([this, ended = std::move(ended)]() mutable {
      context.run();
      ended.set_value();
    });
  }

  // That only one thread runs it saves waking others.
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{
      context.get_executor()};
  std::future<void> end;  // Of the thread.
  std::thread thread;
};

EventLoops::EventLoops(int threads) {
  for (int i = 0; i < threads; ++i) {
    loops_.push_back(std::make_unique<Loop>());
  }
}

EventLoops::~EventLoops() {
  for (const auto& loop : loops_) loop->context.stop();
  for (const auto& loop : loops_) loop->thread.join();
}

std::vector<asio::any_io_executor> EventLoops::executors() {
  std::vector<asio::any_io_executor> executors;
  for (const auto& loop : loops_) {
    executors.emplace_back(loop->context.get_executor());
  }
  return executors;
}

bool EventLoops::Finish(absl::Duration patience) {
  for (const auto& loop : loops_) loop->work.reset();
  const absl::Time latest = absl::Now() + patience;
  bool finished = true;
  for (const auto& loop : loops_) {
    finished &= loop->end.wait_until(absl::ToChronoTime(latest)) ==
                std::future_status::ready;
  }
  return finished;
}

}  // namespace insula::runtime
