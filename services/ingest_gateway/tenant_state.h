// What the ingest-gateway holds of each tenant, for operators.
#pragma once

#include <functional>

#include "absl/strings/string_view.h"
#include "libs/limits/active_series.h"
#include "libs/time/clock.h"
#include "services/ingest_gateway/operator_pages.h"
#include "services/ingest_gateway/queue.h"

namespace insula::ingest_gateway {

// For OperatorPages::Sources: a tenant's active series, and how much of it
// waits on disk for how long. Without a queue, which may be null, the latter is
// not set. All outlive what is returned.
std::function<TenantState(absl::string_view uid)> TenantStates(
    limits::ActiveSeriesOfTenants* active_series, const Queue* queue,
    const Clock* clock);

}  // namespace insula::ingest_gateway
