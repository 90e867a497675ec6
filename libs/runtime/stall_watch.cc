#include "libs/runtime/stall_watch.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "libs/logging/logging.h"
#include "libs/sync/mutex.h"

namespace insula::runtime {

namespace asio = boost::asio;
using Steady = std::chrono::steady_clock;

struct StallWatch::Delays {
  // How long the probe in flight has waited.
  absl::Duration Waiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (!posted.has_value()) return absl::ZeroDuration();
    return absl::FromChrono(Steady::now() - *posted);
  }

  sync::Mutex mutex;
  std::optional<Steady::time_point> posted ABSL_GUARDED_BY(mutex);
  absl::Duration last ABSL_GUARDED_BY(mutex);
  absl::Duration longest ABSL_GUARDED_BY(mutex);
};

StallWatch::StallWatch(asio::io_context* background,
                       asio::any_io_executor executor,
                       metrics::Registry* metrics, absl::Duration interval)
    : executor_(std::move(executor)),
      interval_(interval),
      timer_(*background),
      delays_(std::make_shared<Delays>()) {
  metrics::Gauge& last = metrics->AddGauge(
      "insula_executor_stall_seconds",
      "How long the last probe waited for a thread of the executor.");
  metrics::Gauge& longest =
      metrics->AddGauge("insula_executor_stall_max_seconds",
                        "The longest such wait since metrics were last read.");
  hook_ = metrics->OnCollect([delays = delays_, &last, &longest] {
    sync::MutexLock lock(&delays->mutex);
    const absl::Duration now = std::max(delays->last, delays->Waiting());
    last.Set(absl::ToDoubleSeconds(now));
    longest.Set(absl::ToDoubleSeconds(std::max(delays->longest, now)));
    delays->longest = absl::ZeroDuration();
  });
  Arm();
}

void StallWatch::Arm() {
  timer_.expires_after(absl::ToChronoNanoseconds(interval_));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    Probe();
    Arm();
  });
}

void StallWatch::Probe() {
  {
    sync::MutexLock lock(&delays_->mutex);
    if (delays_->posted.has_value()) return;  // The last one still waits.
    delays_->posted = Steady::now();
  }
  asio::post(executor_, [delays = delays_] {
    absl::Duration delay;
    {
      sync::MutexLock lock(&delays->mutex);
      delay = delays->Waiting();
      delays->posted.reset();
      delays->last = delay;
      delays->longest = std::max(delays->longest, delay);
    }
    if (delay > absl::Seconds(1)) {
      logging::Warn("executor stalled", {{"delay", delay}});
    }
  });
}

}  // namespace insula::runtime
