// The metrics of a follower.
#pragma once

#include <array>

#include "libs/metrics/metrics.h"
#include "libs/registry_client/watch_state.h"

namespace insula::registry_client {

struct ClientMetrics {
  explicit ClientMetrics(metrics::Registry* registry);

  metrics::Gauge& revision;
  metrics::Gauge& objects;
  metrics::Gauge& staleness;
  metrics::Gauge& connected;
  metrics::Gauge& rejected;
  metrics::Counter& changes;
  metrics::Counter& skipped;
  metrics::Counter& disconnects;
  metrics::Counter& save_failures;
  metrics::Gauge& lease_held;
  metrics::Counter& lease_failures;

  metrics::Counter& refused(WatchState::Refusal refusal) {
    return *refused_[static_cast<size_t>(refusal)];
  }

 private:
  std::array<metrics::Counter*, WatchState::kRefusals> refused_ = {};
};

}  // namespace insula::registry_client
