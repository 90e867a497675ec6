// A value that is set once, and coroutines that wait for it.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "libs/sync/mutex.h"

namespace insula::federation_pusher {

// Thread-safe. Must outlive those who wait.
template <typename T>
class OneShot {
 public:
  // Later calls change nothing.
  void Set(T value) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::set<std::shared_ptr<Timer>> waiting;
    {
      sync::MutexLock lock(&mutex_);
      if (value_.has_value()) return;
      value_ = std::move(value);
      waiting.swap(waiting_);
    }
    for (const std::shared_ptr<Timer>& timer : waiting) {
      boost::asio::post(timer->get_executor(), [timer] { timer->cancel(); });
    }
  }

  // Waits for the value. Null if the coroutine was cancelled before it came.
  // The caller runs on a strand.
  boost::asio::awaitable<const T*> Wait() ABSL_LOCKS_EXCLUDED(mutex_) {
    auto timer = std::make_shared<Timer>(
        co_await boost::asio::this_coro::executor, Timer::time_point::max());
    if (const T* value = ValueOrJoin(timer)) co_return value;
    co_await timer->async_wait(
        boost::asio::as_tuple(boost::asio::use_awaitable));
    co_return Leave(timer);
  }

 private:
  using Timer = boost::asio::steady_timer;

  const T* ValueOrJoin(const std::shared_ptr<Timer>& timer) {
    sync::MutexLock lock(&mutex_);
    if (value_.has_value()) return &*value_;
    waiting_.insert(timer);
    return nullptr;
  }

  const T* Leave(const std::shared_ptr<Timer>& timer) {
    sync::MutexLock lock(&mutex_);
    waiting_.erase(timer);
    return value_.has_value() ? &*value_ : nullptr;
  }

  sync::Mutex mutex_;
  std::optional<T> value_ ABSL_GUARDED_BY(mutex_);  // Fixed once it is set.
  std::set<std::shared_ptr<Timer>> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::federation_pusher
