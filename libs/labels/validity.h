// Which names and values a time series may carry.
#pragma once

#include "absl/strings/string_view.h"

namespace insula::labels {

// [a-zA-Z_:][a-zA-Z0-9_:]*: the names that every version of Prometheus takes.
bool IsLegacyMetricName(absl::string_view name);

// [a-zA-Z_][a-zA-Z0-9_]*: likewise for labels. `__name__` is one.
bool IsLegacyLabelName(absl::string_view name);

// Whether `text` is well-formed UTF-8: no overlong forms, no surrogates,
// nothing above U+10FFFF. The empty text is.
bool IsValidUtf8(absl::string_view text);

}  // namespace insula::labels
