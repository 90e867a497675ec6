#include "libs/runtime/signals.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <mutex>
#include <utility>

#include "libs/logging/logging.h"

namespace insula::runtime {

Signals::Signals(boost::asio::io_context* background,
                 std::function<void()> on_end)
    : on_end_(std::move(on_end)), set_(*background, SIGTERM, SIGINT, SIGHUP) {
  // A peer that goes away is an error of the write, not the end of us.
  signal(SIGPIPE, SIG_IGN);
  // Nor is a file that may not grow any more.
  signal(SIGXFSZ, SIG_IGN);
  Next();
}

void Signals::Next() {
  set_.async_wait([this](const boost::system::error_code& error, int number) {
    if (error) return;
    Received(number);
    Next();
  });
}

void Signals::Received(int number) {
  if (number == SIGHUP) {
    sync::MutexLock lock(&mutex_);
    reload_ = true;
    changed_.notify_all();
    return;
  }
  const char* const name = sigabbrev_np(number);
  if (ended_at().has_value()) {
    logging::Warn("second signal, ending without a drain", {{"signal", name}});
    _exit(130);
  }
  logging::Info("draining", {{"signal", name}});
  on_end_();
  sync::MutexLock lock(&mutex_);
  ended_at_ = std::chrono::steady_clock::now();
  changed_.notify_all();
}

// The analysis does not follow std::unique_lock.
Signals::Event Signals::Wait() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  std::unique_lock lock(mutex_);
  while (!reload_ && !ended_at_.has_value()) changed_.wait(lock);
  if (ended_at_.has_value()) return Event::kEnd;
  reload_ = false;
  return Event::kReload;
}

std::optional<std::chrono::steady_clock::time_point> Signals::ended_at() const {
  sync::MutexLock lock(&mutex_);
  return ended_at_;
}

}  // namespace insula::runtime
