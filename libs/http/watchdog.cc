#include "libs/http/watchdog.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

namespace insula::http {
namespace {

constexpr std::chrono::milliseconds kRepeat(20);

}  // namespace

Watchdog::Watchdog(std::shared_ptr<Alarms> alarms,
                   boost::asio::any_io_executor executor,
                   std::weak_ptr<void> owner, std::function<void()> on_expiry)
    : alarms_(std::move(alarms)),
      executor_(std::move(executor)),
      owner_(std::move(owner)),
      on_expiry_(std::move(on_expiry)) {}

Watchdog::~Watchdog() { Stop(); }

void Watchdog::Set(absl::Duration from_now) {
  // Durations near the clock's end would overflow.
  const absl::Duration wait =
      std::clamp(from_now, absl::ZeroDuration(), absl::Hours(24 * 365));
  deadline_ = Clock::now() + absl::ToChronoNanoseconds(wait);
  expired_ = false;
  if (!alarm_ || deadline_ < alarm_->first) Arm(deadline_);
}

void Watchdog::Clear() {
  deadline_ = Clock::time_point::max();
  expired_ = false;
}

void Watchdog::Stop() {
  Clear();
  if (alarm_) alarms_->Remove(*alarm_);
  alarm_ = std::nullopt;
}

void Watchdog::Arm(Clock::time_point when) {
  if (alarm_) alarms_->Remove(*alarm_);
  alarm_ = alarms_->Add(when, this);
}

void Watchdog::Rise(uint64_t id) {
  boost::asio::post(executor_, [this, owner = owner_, id] {
    const std::shared_ptr<void> alive = owner.lock();
    if (alive != nullptr && alarm_ && alarm_->second == id) Fire();
  });
}

void Watchdog::Fire() {
  alarm_ = std::nullopt;
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
