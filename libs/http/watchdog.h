// A deadline that moves often and passes rarely. For libs/http alone.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/time/time.h"

namespace insula::http {

// Calls `on_expiry` on its executor, a strand, when the deadline passes; and
// again every 20 ms while nobody sets another one, since an operation that
// begins at that very moment must not be missed. Moving the deadline back
// costs no timer operation. Used on that strand.
class Watchdog {
 public:
  using Clock = std::chrono::steady_clock;

  // `owner` owns the watchdog; nothing is called once it is gone.
  Watchdog(boost::asio::any_io_executor executor, std::weak_ptr<void> owner,
           std::function<void()> on_expiry);

  void Set(absl::Duration from_now);
  void Clear();  // No deadline.
  void Stop();   // The same, and gives the timer back.

  // Whether the deadline set last has passed.
  bool expired() const { return expired_; }

 private:
  void Arm(Clock::time_point when);
  void Fire();

  boost::asio::steady_timer timer_;
  const std::weak_ptr<void> owner_;
  const std::function<void()> on_expiry_;
  Clock::time_point deadline_ = Clock::time_point::max();
  Clock::time_point armed_for_ = Clock::time_point::max();
  uint64_t generation_ = 0;  // Of the wait that counts.
  bool expired_ = false;
};

}  // namespace insula::http
