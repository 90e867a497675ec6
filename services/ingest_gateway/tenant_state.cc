#include "services/ingest_gateway/tenant_state.h"

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"

namespace insula::ingest_gateway {

std::function<TenantState(absl::string_view uid)> TenantStates(
    limits::ActiveSeriesOfTenants* active_series, const Queue* queue,
    const Clock* clock) {
  return [active_series, queue, clock](absl::string_view uid) {
    const absl::Time now = clock->Now();
    TenantState state;
    state.active_series =
        static_cast<int64_t>(active_series->CountOf(uid, now));
    if (queue == nullptr) return state;
    const auto backlog = queue->BacklogOf(uid);
    state.queued_bytes = backlog ? static_cast<int64_t>(backlog->bytes) : 0;
    state.queue_lag = backlog
                          ? std::max(now - backlog->oldest, absl::Duration())
                          : absl::ZeroDuration();
    return state;
  };
}

}  // namespace insula::ingest_gateway
