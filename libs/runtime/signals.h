// Signals, as a thing to wait for.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "libs/sync/mutex.h"

namespace insula::runtime {

// Catches SIGTERM, SIGINT and SIGHUP from its making on and ignores SIGPIPE. A
// second SIGTERM or SIGINT ends the process at once, with exit code 130.
class Signals {
 public:
  enum class Event { kReload, kEnd };

  // Handlers run on `background`, which outlives this; `on_end` too, at the
  // first SIGTERM or SIGINT.
  Signals(boost::asio::io_context* background, std::function<void()> on_end);

  // The thread of `background` must have ended.
  ~Signals() = default;

  // Blocks until there was a SIGHUP since the last call, or an end.
  Event Wait();

  // When the first SIGTERM or SIGINT came.
  std::optional<std::chrono::steady_clock::time_point> ended_at() const
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Next();
  void Received(int signal);

  const std::function<void()> on_end_;
  boost::asio::signal_set set_;

  mutable sync::Mutex mutex_;
  std::condition_variable_any changed_;
  bool reload_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<std::chrono::steady_clock::time_point> ended_at_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::runtime
