// Many deadlines behind one timer. For libs/http alone.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "libs/sync/mutex.h"

namespace insula::http {

class Watchdog;

// The deadlines of watchdogs. Most of them are given up long before they pass,
// so that setting one and giving it up cost no timer and no system call.
// Thread-safe.
class Alarms : public std::enable_shared_from_this<Alarms> {
 public:
  using Clock = std::chrono::steady_clock;
  using Key = std::pair<Clock::time_point, uint64_t>;

  // The timer runs on `executor`; only while there are deadlines, and at most
  // a second longer.
  explicit Alarms(boost::asio::any_io_executor executor);

  // Calls watchdog->Ring() on its executor at `when`, unless it is removed
  // before.
  Key Add(Clock::time_point when, Watchdog* watchdog)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(const Key& key) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Look() ABSL_LOCKS_EXCLUDED(mutex_);
  void Arm(Clock::time_point when);

  boost::asio::steady_timer timer_;  // Used on its strand.

  sync::Mutex mutex_;
  absl::btree_map<Key, Watchdog*> watchdogs_ ABSL_GUARDED_BY(mutex_);
  Clock::time_point armed_for_ ABSL_GUARDED_BY(mutex_) =
      Clock::time_point::max();
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace insula::http
