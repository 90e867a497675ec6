#include "libs/exposition/text_printer.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/exposition/escape.h"
#include "libs/exposition/metric_type.h"
#include "libs/exposition/number.h"
#include "libs/labels/matcher.h"
#include "libs/labels/validity.h"
#include "libs/status/status_macros.h"

namespace insula::exposition {
namespace {

absl::Status Refuse(absl::string_view what, absl::string_view text,
                    absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      what, " '", absl::CHexEscape(text.substr(0, 100)), "' ", why));
}

void AppendQuoted(absl::string_view text, std::string* out) {
  out->push_back('"');
  AppendEscaped(text, Quote::kDouble, out);
  out->push_back('"');
}

}  // namespace

absl::Status TextPrinter::CheckName(absl::string_view what,
                                    absl::string_view name, bool legacy) const {
  if (legacy) return absl::OkStatus();
  if (name.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(what, " name is empty"));
  }
  if (!options_.utf8_names) {
    return Refuse(absl::StrCat(what, " name"), name,
                  "needs quotes, use [a-zA-Z0-9_] or allow UTF-8 names");
  }
  if (labels::IsValidUtf8(name)) return absl::OkStatus();
  return Refuse(absl::StrCat(what, " name"), name, "is not valid UTF-8");
}

absl::Status TextPrinter::CheckLabels(absl::Span<const Label> labels) const {
  for (size_t i = 0; i < labels.size(); ++i) {
    const Label& label = labels[i];
    RETURN_IF_ERROR(
        CheckName("label", label.name, labels::IsLegacyLabelName(label.name)));
    if (label.name == labels::kMetricName) {
      return Refuse("label", label.name, "is the metric name, set that");
    }
    for (size_t j = 0; j < i; ++j) {
      if (labels[j].name == label.name) {
        return Refuse("label", label.name, "comes twice");
      }
    }
    if (!labels::IsValidUtf8(label.value)) {
      return Refuse(absl::StrCat("value of label ", label.name), label.value,
                    "is not valid UTF-8");
    }
  }
  return absl::OkStatus();
}

absl::Status TextPrinter::StartMetadata(absl::string_view keyword,
                                        absl::string_view name) {
  const bool legacy = labels::IsLegacyMetricName(name);
  RETURN_IF_ERROR(CheckName("family", name, legacy));
  absl::StrAppend(out_, "# ", keyword, " ");
  if (legacy) {
    out_->append(name.data(), name.size());
  } else {
    AppendQuoted(name, out_);
  }
  out_->push_back(' ');
  return absl::OkStatus();
}

absl::Status TextPrinter::OnType(absl::string_view name, MetricType type) {
  RETURN_IF_ERROR(StartMetadata("TYPE", name));
  absl::StrAppend(out_, MetricTypeName(options_.format, type), "\n");
  return absl::OkStatus();
}

absl::Status TextPrinter::OnHelp(absl::string_view name,
                                 absl::string_view help) {
  if (!labels::IsValidUtf8(help)) {
    return Refuse("help", help, "is not valid UTF-8");
  }
  RETURN_IF_ERROR(StartMetadata("HELP", name));
  const bool open_metrics = options_.format == Format::kOpenMetrics;
  AppendEscaped(help, open_metrics ? Quote::kDouble : Quote::kNone, out_);
  out_->push_back('\n');
  return absl::OkStatus();
}

absl::Status TextPrinter::OnUnit(absl::string_view name,
                                 absl::string_view unit) {
  if (options_.format == Format::kPrometheus) return absl::OkStatus();
  absl::string_view stem = name;
  if (!unit.empty() &&
      !(absl::ConsumeSuffix(&stem, unit) && absl::EndsWith(stem, "_"))) {
    return Refuse("unit", unit, "is not the end of the family's name");
  }
  if (!labels::IsValidUtf8(unit) || absl::StrContains(unit, '\n')) {
    return Refuse("unit", unit, "is not UTF-8 on one line");
  }
  RETURN_IF_ERROR(StartMetadata("UNIT", name));
  absl::StrAppend(out_, unit, "\n");
  return absl::OkStatus();
}

void TextPrinter::AppendLabels(absl::string_view quoted_name,
                               absl::Span<const Label> labels) {
  out_->push_back('{');
  bool first = quoted_name.empty();
  if (!first) AppendQuoted(quoted_name, out_);
  for (const Label& label : labels) {
    if (!first || !quoted_name.empty()) out_->push_back(',');
    first = false;
    if (labels::IsLegacyLabelName(label.name)) {
      out_->append(label.name.data(), label.name.size());
    } else {
      AppendQuoted(label.name, out_);
    }
    out_->push_back('=');
    AppendQuoted(label.value, out_);
  }
  out_->push_back('}');
}

void TextPrinter::AppendTimestamp(int64_t milliseconds) {
  out_->push_back(' ');
  if (options_.format == Format::kOpenMetrics) {
    AppendSeconds(milliseconds, out_);
  } else {
    absl::StrAppend(out_, milliseconds);
  }
}

absl::Status TextPrinter::OnSample(const Sample& sample) {
  const bool legacy = labels::IsLegacyMetricName(sample.name);
  const bool open_metrics = options_.format == Format::kOpenMetrics;
  const Exemplar* const exemplar = open_metrics ? sample.exemplar : nullptr;
  RETURN_IF_ERROR(CheckName("metric", sample.name, legacy));
  RETURN_IF_ERROR(CheckLabels(sample.labels));
  if (exemplar != nullptr) RETURN_IF_ERROR(CheckLabels(exemplar->labels));

  if (legacy) out_->append(sample.name.data(), sample.name.size());
  if (!legacy || !sample.labels.empty()) {
    AppendLabels(legacy ? absl::string_view() : sample.name, sample.labels);
  }
  out_->push_back(' ');
  AppendValue(sample.value, out_);
  if (sample.timestamp_ms) AppendTimestamp(*sample.timestamp_ms);
  if (exemplar != nullptr) {
    out_->append(" # ");
    AppendLabels({}, exemplar->labels);
    out_->push_back(' ');
    AppendValue(exemplar->value, out_);
    if (exemplar->timestamp_ms) AppendTimestamp(*exemplar->timestamp_ms);
  }
  out_->push_back('\n');
  return absl::OkStatus();
}

void TextPrinter::Finish() {
  if (options_.format == Format::kOpenMetrics) out_->append("# EOF\n");
}

}  // namespace insula::exposition
