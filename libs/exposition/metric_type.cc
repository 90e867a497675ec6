#include "libs/exposition/metric_type.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace insula::exposition {
namespace {

struct Name {
  MetricType type;
  absl::string_view prometheus;  // Empty: it has none.
  absl::string_view open_metrics;
};

constexpr Name kNames[] = {
    {MetricType::kCounter, "counter", "counter"},
    {MetricType::kGauge, "gauge", "gauge"},
    {MetricType::kHistogram, "histogram", "histogram"},
    {MetricType::kSummary, "summary", "summary"},
    {MetricType::kUnknown, "untyped", "unknown"},
    {MetricType::kGaugeHistogram, "", "gaugehistogram"},
    {MetricType::kInfo, "", "info"},
    {MetricType::kStateSet, "", "stateset"},
};

absl::string_view Of(const Name& name, Format format) {
  return format == Format::kPrometheus ? name.prometheus : name.open_metrics;
}

}  // namespace

std::optional<MetricType> ParseMetricType(Format format,
                                          absl::string_view text) {
  for (const Name& name : kNames) {
    if (!text.empty() && Of(name, format) == text) return name.type;
  }
  return std::nullopt;
}

absl::string_view MetricTypeName(Format format, MetricType type) {
  for (const Name& name : kNames) {
    if (name.type == type && !Of(name, format).empty()) return Of(name, format);
  }
  return type == MetricType::kGaugeHistogram ? "untyped" : "gauge";
}

std::string MetricTypeNames(Format format) {
  std::string names;
  for (const Name& name : kNames) {
    if (Of(name, format).empty()) continue;
    absl::StrAppend(&names, names.empty() ? "" : ", ", Of(name, format));
  }
  return names;
}

absl::string_view ContentType(Format format) {
  return format == Format::kPrometheus
             ? "text/plain; version=0.0.4; charset=utf-8"
             : "application/openmetrics-text; version=1.0.0; charset=utf-8";
}

absl::StatusOr<Format> FormatOf(absl::string_view content_type) {
  const std::string type = absl::AsciiStrToLower(absl::StripAsciiWhitespace(
      content_type.substr(0, content_type.find(';'))));
  if (type.empty() || type == "text/plain") return Format::kPrometheus;
  if (type == "application/openmetrics-text") return Format::kOpenMetrics;
  return absl::InvalidArgumentError(absl::StrCat(
      "the content type is '", absl::CHexEscape(content_type.substr(0, 100)),
      "', expected text/plain or application/openmetrics-text: "
      "does the URL lead to metrics?"));
}

}  // namespace insula::exposition
