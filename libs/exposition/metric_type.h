// The names of metric types, and of the formats themselves.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/exposition/sample.h"

namespace insula::exposition {

// The type that stands behind `# TYPE name` in a text of `format`.
std::optional<MetricType> ParseMetricType(Format format,
                                          absl::string_view text);

// The reverse. Types that the Prometheus format does not have become `gauge`
// (kInfo, kStateSet) or `untyped`.
absl::string_view MetricTypeName(Format format, MetricType type);

// All of a format: "counter, gauge, ...".
std::string MetricTypeNames(Format format);

// What to ask a server for: OpenMetrics, or else the Prometheus format.
inline constexpr absl::string_view kAccept =
    "application/openmetrics-text;version=1.0.0;q=0.5,"
    "text/plain;version=0.0.4;q=0.4";

// The Content-Type of a text.
absl::string_view ContentType(Format format);

// The format of a body with this Content-Type; without one, as of old servers,
// the Prometheus format. INVALID_ARGUMENT for what is no exposition.
absl::StatusOr<Format> FormatOf(absl::string_view content_type);

}  // namespace insula::exposition
