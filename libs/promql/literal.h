// Numbers and durations, read and written as Prometheus does.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace insula::promql {

// The value of a number of version 3, which may hold `_` between digits.
absl::StatusOr<double> ParseSeparatedNumber(absl::string_view text);

// The value of a number token: decimal, `0x1f`, octal where a leading 0 makes
// it so (`010` is 8, but `08` is 8 too), `1e3`, `.5`, `Inf`, `NaN`.
// INVALID_ARGUMENT for others, and for those too large for a double.
absl::StatusOr<double> ParseNumber(absl::string_view text);

// The shortest text that reads back as `value`: `1e+06`, `0.5`, `+Inf`.
std::string NumberText(double value);
void AppendNumberText(double value, std::string* out);

// A duration such as `1h30m`: units y w d h m s ms in this order, each at most
// once, whole numbers. INVALID_ARGUMENT for others, for zero, and for more than
// 292 years.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text,
                                             bool allow_zero = false);

// In the same units; `duration` is in whole milliseconds and positive. Years
// and weeks appear only if nothing remains: `1w`, `8d`.
std::string DurationText(absl::Duration duration);

}  // namespace insula::promql
