// Whether a native histogram is one that a store can take.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"
#include "libs/remote_write/reason.h"

namespace insula::remote_write {

// What is wrong with a Histogram message of remote write 1.0 or 2.0, whose
// shape has been checked: kHistogramSchemaInvalid for a schema other than -4 to
// 8 and -53 (custom buckets), kHistogramInvalid if its parts disagree:
//
//  - as many buckets on a side as its spans cover; only the first span of a
//  side
//    begins below 0
//  - no bucket below 0; integer buckets for an integer count, float buckets for
//    a float count
//  - integers: the count is that of all buckets; it may be higher if the sum is
//    a NaN, as then observations were NaN
//  - custom buckets: their bounds are finite and ascending and there are enough
//    of them; nothing negative, no zero bucket. Other schemas have no bounds.
std::optional<Reason> FindHistogramFault(absl::string_view histogram);

}  // namespace insula::remote_write
