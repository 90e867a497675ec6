// Numbers of the exposition formats, read and written as Go does: no locale.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::exposition {

// The bits that Prometheus gives every NaN of a text, so that none is taken for
// a staleness marker.
inline constexpr uint64_t kNormalNaNBits = 0x7ff8000000000001;
double NormalNaN();

// A value: `1`, `-.5`, `1e-3`, `NaN`, `Inf`, `+inf`, `-Infinity` (these in any
// case). The nearest double; too small a number is 0. INVALID_ARGUMENT for
// anything else, hexadecimal and underscores included, and for more than a
// double holds.
absl::StatusOr<double> ParseValue(absl::string_view text);

// A timestamp in milliseconds: decimal digits, perhaps with a sign.
absl::StatusOr<int64_t> ParseMilliseconds(absl::string_view text);

// A timestamp in seconds, as milliseconds: `1520879607.789`, `1.5e+09`. Digits
// behind the third decimal are cut off.
absl::StatusOr<int64_t> ParseSeconds(absl::string_view text);

// The shortest text that reads back as `value`: `1e+06`, `0.5`, `+Inf`.
void AppendValue(double value, std::string* out);

// Milliseconds as seconds: `1520879607.789`, `-0.005`, `12`.
void AppendSeconds(int64_t milliseconds, std::string* out);

}  // namespace insula::exposition
