// What an exposition holds: samples, and the metadata of metric families.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace insula::exposition {

enum class Format {
  kPrometheus,   // The text format, version 0.0.4.
  kOpenMetrics,  // OpenMetrics text, version 1.0.
};

enum class MetricType {
  kUnknown,  // `untyped` in the Prometheus format.
  kCounter,
  kGauge,
  kHistogram,
  kSummary,
  // In OpenMetrics alone.
  kGaugeHistogram,
  kInfo,
  kStateSet,
};

struct Label {
  absl::string_view name;
  absl::string_view value;
};

// An example of what a sample counted, a trace for instance.
struct Exemplar {
  absl::Span<const Label> labels;
  double value = 0;
  std::optional<int64_t> timestamp_ms;
};

// The labels are those that the text names, in its order, without `__name__`.
// A label may have the empty value, which means the same as not having it:
// /federate writes `instance=""`. Drop these before sending them on.
struct Sample {
  absl::string_view name;
  absl::Span<const Label> labels;
  double value = 0;  // A NaN is kNormalNaN.
  std::optional<int64_t> timestamp_ms;
  const Exemplar* exemplar = nullptr;  // Null if there is none.
};

// Takes what a parser finds, in the order of the text. All views are good until
// the call returns. A status other than OK ends the parse.
class Sink {
 public:
  virtual ~Sink() = default;

  virtual absl::Status OnSample(const Sample& sample) = 0;

  // Metadata of the family `name`; ignored unless overridden.
  virtual absl::Status OnType(absl::string_view /*name*/, MetricType /*type*/) {
    return absl::OkStatus();
  }
  virtual absl::Status OnHelp(absl::string_view /*name*/,
                              absl::string_view /*help*/) {
    return absl::OkStatus();
  }
  // OpenMetrics alone.
  virtual absl::Status OnUnit(absl::string_view /*name*/,
                              absl::string_view /*unit*/) {
    return absl::OkStatus();
  }
};

}  // namespace insula::exposition
