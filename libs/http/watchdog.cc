#include "libs/http/watchdog.h"

#include <algorithm>
#include <utility>

namespace insula::http {
namespace {

constexpr std::chrono::milliseconds kRepeat(20);

}  // namespace

Watchdog::Watchdog(boost::asio::any_io_executor executor,
                   std::weak_ptr<void> owner, std::function<void()> on_expiry)
    : timer_(std::move(executor)),
      owner_(std::move(owner)),
      on_expiry_(std::move(on_expiry)) {}

void Watchdog::Set(absl::Duration from_now) {
  // Durations near the clock's end would overflow.
  const absl::Duration wait =
      std::clamp(from_now, absl::ZeroDuration(), absl::Hours(24 * 365));
  deadline_ = Clock::now() + absl::ToChronoNanoseconds(wait);
  expired_ = false;
  if (deadline_ < armed_for_) Arm(deadline_);
}

void Watchdog::Clear() {
  deadline_ = Clock::time_point::max();
  expired_ = false;
}

void Watchdog::Stop() {
  Clear();
  ++generation_;
  armed_for_ = Clock::time_point::max();
  timer_.cancel();
}

void Watchdog::Arm(Clock::time_point when) {
  armed_for_ = when;
  timer_.expires_at(when);
  timer_.async_wait([this, owner = owner_, generation = ++generation_](
                        const boost::system::error_code&) {
    const std::shared_ptr<void> alive = owner.lock();
    if (alive != nullptr && generation == generation_) Fire();
  });
}

void Watchdog::Fire() {
  armed_for_ = Clock::time_point::max();
  if (deadline_ == Clock::time_point::max()) return;
  if (Clock::now() < deadline_) {
    Arm(deadline_);
    return;
  }
  expired_ = true;
  // First: `on_expiry_` may call Set() or Stop().
  Arm(Clock::now() + kRepeat);
  on_expiry_();
}

}  // namespace insula::http
