// Says what would become of a series.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "insula/ingest/v1/ingest.pb.h"
#include "libs/tenancy/snapshot.h"
#include "services/ingest_gateway/config.h"

namespace insula::ingest_gateway {

// Takes the steps of a write with one series, up to its delivery: caller,
// routing, split. Limits of rate are not asked. See WhyResponse.
//
// INVALID_ARGUMENT: the request names no sender, or no series. NOT_FOUND: no
// such binding. UNAVAILABLE: nothing is known of tenants yet.
absl::StatusOr<ingest::v1::WhyResponse> Explain(
    const ingest::v1::WhyRequest& request,
    std::shared_ptr<const tenancy::Snapshot> snapshot,
    const WriteConfig& config, absl::Time now);

}  // namespace insula::ingest_gateway
