// A deadline that moves often and passes rarely. For libs/http alone.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "libs/http/alarms.h"

namespace insula::http {

// Calls `on_expiry` on its executor, a strand, when the deadline passes; and
// again every 20 ms while nobody sets another one, since an operation that
// begins at that very moment must not be missed. Moving the deadline back
// costs next to nothing. Used on that strand.
class Watchdog {
 public:
  using Clock = Alarms::Clock;

  // `owner` owns the watchdog; nothing is called once it is gone.
  Watchdog(std::shared_ptr<Alarms> alarms,
           boost::asio::any_io_executor executor, std::weak_ptr<void> owner,
           std::function<void()> on_expiry);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  void Set(absl::Duration from_now);
  void Clear();  // No deadline.
  void Stop();   // The same, and gives the alarm back.

  // Whether the deadline set last has passed.
  bool expired() const { return expired_; }

 private:
  friend class Alarms;
  // The alarm `id` has come; on any thread, while the watchdog exists.
  void Rise(uint64_t id);

  void Arm(Clock::time_point when);
  void Fire();

  const std::shared_ptr<Alarms> alarms_;
  const boost::asio::any_io_executor executor_;
  const std::weak_ptr<void> owner_;
  const std::function<void()> on_expiry_;
  Clock::time_point deadline_ = Clock::time_point::max();
  std::optional<Alarms::Key> alarm_;  // That counts.
  bool expired_ = false;
};

}  // namespace insula::http
