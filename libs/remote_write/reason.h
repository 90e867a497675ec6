// Why a series is refused.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace insula::remote_write {

// A closed set: these are values of the label `reason` of metrics. Where Cortex
// has a name for a reason, ours is the same.
enum class Reason : uint8_t {
  // The series itself.
  kMissingMetricName,
  kMetricNameInvalid,
  kMaxLabelNamesPerSeries,
  kLabelInvalid,
  kLabelNameTooLong,
  kLabelValueEmpty,
  kLabelValueInvalid,
  kLabelValueTooLong,
  kDuplicateLabelNames,
  kLabelsNotSorted,
  kForeignLabel,  // It has an enforced label with another value.
  // The series itself, in remote write 2.0.
  kLabelRefsInvalid,
  kNoSamples,     // Neither samples nor histograms.
  kMixedSamples,  // Both of them.
  kHistogramInvalid,
  kHistogramSchemaInvalid,
  kExemplarInvalid,
  kMetadataInvalid,
  // Its tenant.
  kTenantMissing,    // No claim label, and there is no default tenant.
  kTenantIdInvalid,  // The claim label's value can't be a tenant id.
  kTenantNotAllowed,
  kTenantUnknown,
  kTenantSuspended,
  kTenantReadOnly,
  kNoUpstream,        // The tenant has no store that takes writes.
  kNoEnforcedLabels,  // A shared store could not keep the tenant apart.
  // Its tenant's whole part.
  kPerUserSeriesLimit,  // It is new, and too many are active.
  kMaxSeriesPerWrite,
  kRequestRateLimited,
  kBytesRateLimited,
  kRateLimited,
  kBurstExceeded,    // More at once than a rate of the tenant ever admits.
  kUpstreamRefused,  // The store says that it will never take it.
  kUpstreamUnavailable,
  kQueueFull,  // Nor is there room to keep it until the store takes it.
};
inline constexpr int kReasonCount = 35;

// "missing_metric_name".
absl::string_view ReasonName(Reason reason);

// What the sender can do about it, in a few words.
absl::string_view ReasonCure(Reason reason);

// Whether the tenant has sent too much for the moment.
bool IsOverRate(Reason reason);

// Whether the reason is that the caller may not write for the tenant that the
// series names.
bool IsForbidden(Reason reason);

}  // namespace insula::remote_write
