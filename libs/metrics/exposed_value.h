// What an exposition says of one series, for tests.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"

namespace insula::metrics {

// The value of a series, `name` or `name{label="value"}` to the letter, in a
// text of Registry::Expose(). Nothing if it is not there.
std::optional<double> ExposedValue(absl::string_view exposition,
                                   absl::string_view series);

}  // namespace insula::metrics
