// Something that happens once, and a coroutine that waits for it.
//
//   auto event = std::make_shared<sync::Event>();
//   other_thread.Do([event] { event->Set(); });
//   if (co_await sync::Event::Wait(event, deadline) != sync::Event::End::kSet)
//   {
//     ...
//   }
#pragma once

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/sync/mutex.h"

namespace insula::sync {

// Thread-safe; but one coroutine waits at a time.
class Event {
 public:
  enum class End {
    kSet,
    kDeadline,
    kCancelled,  // The coroutine was.
  };

  // From any thread. Later calls change nothing.
  void Set() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::shared_ptr<Timer> timer;
    {
      MutexLock lock(&mutex_);
      if (set_) return;
      set_ = true;
      timer = std::move(timer_);
    }
    if (timer == nullptr) return;
    boost::asio::post(timer->get_executor(), [timer] { timer->cancel(); });
  }

  bool IsSet() const ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    return set_;
  }

  // Waits for Set() until `deadline`, by the system's clock; kSet also if it
  // came together with another end. The caller runs on a strand.
  static boost::asio::awaitable<End> Wait(std::shared_ptr<Event> event,
                                          absl::Time deadline) {
    auto timer =
        std::make_shared<Timer>(co_await boost::asio::this_coro::executor);
    while (true) {
      const absl::Duration left = deadline - absl::Now();
      if (event->IsSet()) co_return End::kSet;
      if (left <= absl::ZeroDuration()) co_return End::kDeadline;
      // A timer can't wait for ever.
      timer->expires_after(
          absl::ToChronoNanoseconds(std::min(left, absl::Hours(1))));
      if (!event->Join(timer)) co_return End::kSet;
      co_await timer->async_wait(
          boost::asio::as_tuple(boost::asio::use_awaitable));
      if (event->Leave()) co_return End::kSet;
      const auto state = co_await boost::asio::this_coro::cancellation_state;
      if (state.cancelled() != boost::asio::cancellation_type::none) {
        co_return End::kCancelled;
      }
    }
  }

 private:
  using Timer = boost::asio::steady_timer;

  bool Join(const std::shared_ptr<Timer>& timer) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    if (!set_) timer_ = timer;
    return !set_;
  }
  bool Leave() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    timer_.reset();
    return set_;
  }

  mutable Mutex mutex_;
  bool set_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<Timer> timer_ ABSL_GUARDED_BY(mutex_);  // Of who waits.
};

}  // namespace insula::sync
