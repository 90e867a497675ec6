// Writes the exposition formats of Prometheus.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/exposition/sample.h"

namespace insula::exposition {

struct PrinterOptions {
  Format format = Format::kPrometheus;
  // Write names that are not [a-zA-Z_:][a-zA-Z0-9_:]* (of labels: without the
  // colon) in quotes. Without it such names are refused.
  bool utf8_names = false;
};

// Appends to a string, in the order of the calls, what a parser reads back as
// the same. Being a sink, it may stand behind a parser.
//
//   std::string text;
//   TextPrinter printer({.format = Format::kPrometheus}, &text);
//   RETURN_IF_ERROR(printer.OnType("up", MetricType::kGauge));
//   RETURN_IF_ERROR(printer.OnSample({.name = "up", .value = 1}));
//   printer.Finish();
//
// Servers expect, and the caller sees to it, that the samples of a family stand
// together behind its metadata, which comes at most once. The Prometheus format
// has neither units nor exemplars: these are left out. A family is not renamed
// between formats (OpenMetrics names a counter without `_total`).
class TextPrinter : public Sink {
 public:
  // `out` outlives the printer.
  TextPrinter(const PrinterOptions& options, std::string* out)
      : options_(options), out_(out) {}

  // INVALID_ARGUMENT, with nothing written, for an empty name, a name or text
  // that is not UTF-8, a label that comes twice or is named `__name__`, a name
  // that needs quotes if these are not allowed, and a unit that its family does
  // not end in.
  absl::Status OnType(absl::string_view name, MetricType type) override;
  absl::Status OnHelp(absl::string_view name, absl::string_view help) override;
  absl::Status OnUnit(absl::string_view name, absl::string_view unit) override;
  absl::Status OnSample(const Sample& sample) override;

  // Ends an OpenMetrics text. Nothing may follow.
  void Finish();

 private:
  absl::Status CheckName(absl::string_view what, absl::string_view name,
                         bool legacy) const;
  absl::Status CheckLabels(absl::Span<const Label> labels) const;
  absl::Status StartMetadata(absl::string_view keyword, absl::string_view name);
  void AppendLabels(absl::string_view quoted_name,
                    absl::Span<const Label> labels);
  void AppendTimestamp(int64_t milliseconds);

  const PrinterOptions options_;
  std::string* const out_;
};

}  // namespace insula::exposition
