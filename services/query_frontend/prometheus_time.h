// Times and durations as parameters of Prometheus' HTTP API write them.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace insula::query_frontend {

// Float seconds since 1970 ("1760003000.123", rounded to milliseconds),
// RFC 3339 ("2026-11-21T10:00:00Z"), or one of the two texts with which
// Prometheus writes its least and greatest time. INVALID_ARGUMENT has
// Prometheus' text. NaN, infinities and hexadecimal numbers, which Go would
// take, are refused.
absl::StatusOr<absl::Time> ParseTime(absl::string_view text);

// Float seconds ("15", "0.5") or units in descending order ("1h30m"): y, w, d,
// h, m, s, ms. INVALID_ARGUMENT has Prometheus' text. May be negative.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);

}  // namespace insula::query_frontend
