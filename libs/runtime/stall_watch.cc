#include "libs/runtime/stall_watch.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "libs/logging/logging.h"
#include "libs/sync/mutex.h"

namespace insula::runtime {

namespace asio = boost::asio;
using Steady = std::chrono::steady_clock;

struct StallWatch::Delays : std::enable_shared_from_this<Delays> {
  struct Probe {
    // How long the probe in flight has waited.
    absl::Duration Waiting() const {
      if (!posted.has_value()) return absl::ZeroDuration();
      return absl::FromChrono(Steady::now() - *posted);
    }

    asio::any_io_executor executor;
    std::optional<Steady::time_point> posted;
    absl::Duration last;
  };

  // Posts probes where none waits.
  void Post() ABSL_LOCKS_EXCLUDED(mutex);
  void Arrived(size_t number) ABSL_LOCKS_EXCLUDED(mutex);
  absl::Duration Last() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  sync::Mutex mutex;
  std::vector<Probe> probes ABSL_GUARDED_BY(mutex);
  absl::Duration longest ABSL_GUARDED_BY(mutex);
};

void StallWatch::Delays::Post() {
  sync::MutexLock lock(&mutex);
  for (size_t i = 0; i < probes.size(); ++i) {
    if (probes[i].posted.has_value()) continue;  // The last one still waits.
    probes[i].posted = Steady::now();
    asio::post(probes[i].executor,
               [self = shared_from_this(), i] { self->Arrived(i); });
  }
}

void StallWatch::Delays::Arrived(size_t number) {
  absl::Duration delay;
  {
    sync::MutexLock lock(&mutex);
    Probe& probe = probes[number];
    delay = probe.Waiting();
    probe.posted.reset();
    probe.last = delay;
    longest = std::max(longest, delay);
  }
  if (delay > absl::Seconds(1)) {
    logging::Warn("executor stalled", {{"delay", delay}});
  }
}

absl::Duration StallWatch::Delays::Last() const {
  absl::Duration last;
  for (const Probe& probe : probes) {
    last = std::max({last, probe.last, probe.Waiting()});
  }
  return last;
}

StallWatch::StallWatch(asio::io_context* background, metrics::Registry* metrics,
                       absl::Duration interval)
    : interval_(interval),
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
    const absl::Duration now = delays->Last();
    last.Set(absl::ToDoubleSeconds(now));
    longest.Set(absl::ToDoubleSeconds(std::max(delays->longest, now)));
    delays->longest = absl::ZeroDuration();
  });
  Arm();
}

void StallWatch::Watch(asio::any_io_executor executor) {
  sync::MutexLock lock(&delays_->mutex);
  delays_->probes.push_back({std::move(executor), std::nullopt, {}});
}

void StallWatch::Arm() {
  timer_.expires_after(absl::ToChronoNanoseconds(interval_));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    delays_->Post();
    Arm();
  });
}

}  // namespace insula::runtime
