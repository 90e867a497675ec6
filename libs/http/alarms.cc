#include "libs/http/alarms.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "libs/http/watchdog.h"
#include "libs/sync/strand.h"

namespace insula::http {

namespace asio = boost::asio;

namespace {

// A timer that waits for a deadline that was given up holds up the end of its
// executor no longer than this.
constexpr std::chrono::seconds kLongestWait(1);

}  // namespace

Alarms::Alarms(asio::any_io_executor executor)
    : timer_(sync::MakeStrand(std::move(executor))) {}

Alarms::Key Alarms::Add(Clock::time_point when, Watchdog* watchdog) {
  const Clock::time_point latest = Clock::now() + kLongestWait;
  sync::MutexLock lock(&mutex_);
  const Key key(when, next_id_++);
  watchdogs_.emplace(key, watchdog);
  if (std::min(when, latest) >= armed_for_) return key;
  armed_for_ = std::min(when, latest);
  asio::post(timer_.get_executor(), [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Look();
  });
  return key;
}

void Alarms::Remove(const Key& key) {
  sync::MutexLock lock(&mutex_);
  watchdogs_.erase(key);
}

void Alarms::Look() {
  Clock::time_point next;
  {
    sync::MutexLock lock(&mutex_);
    const Clock::time_point now = Clock::now();
    while (!watchdogs_.empty() && watchdogs_.begin()->first.first <= now) {
      watchdogs_.begin()->second->Rise(watchdogs_.begin()->first.second);
      watchdogs_.erase(watchdogs_.begin());
    }
    next = watchdogs_.empty()
               ? Clock::time_point::max()
               : std::min(watchdogs_.begin()->first.first, now + kLongestWait);
    armed_for_ = next;
  }
  if (next != Clock::time_point::max()) Arm(next);
}

void Alarms::Arm(Clock::time_point when) {
  timer_.expires_at(when);
  timer_.async_wait(
      [weak = weak_from_this()](const boost::system::error_code& error) {
        if (error) return;
        if (const auto self = weak.lock()) self->Look();
      });
}

}  // namespace insula::http
