#include "libs/remote_write/checks.h"

namespace insula::remote_write {
namespace {

std::optional<Reason> FindLabelFault(const SeriesReader& series,
                                     const SeriesLabel& label,
                                     const SeriesLimits& limits) {
  if (!label.whole || !series.IsNameOk(label.name)) {
    return Reason::kLabelInvalid;
  }
  if (label.name.size() > limits.max_label_name_bytes) {
    return Reason::kLabelNameTooLong;
  }
  if (label.value.empty()) return Reason::kLabelValueEmpty;
  if (label.value.size() > limits.max_label_value_bytes) {
    return Reason::kLabelValueTooLong;
  }
  if (!label.value_ok) return Reason::kLabelValueInvalid;
  return std::nullopt;
}

}  // namespace

std::optional<Fault> FindFault(const SeriesReader& series,
                               const SeriesLimits& limits) {
  if (IsClean(series, limits)) return std::nullopt;
  const SeriesNames& names = series.names();
  const auto labels = series.labels();
  if (!series.has_all_labels()) {
    return Fault{Reason::kMaxLabelNamesPerSeries, ""};
  }
  if (names.metric < 0 || labels[names.metric].value.empty()) {
    return Fault{Reason::kMissingMetricName, ""};
  }
  if (!labels[names.metric].value_ok) {
    return Fault{Reason::kMetricNameInvalid, labels[names.metric].value};
  }
  size_t absent = 0;
  for (const int at : names.deciding) {
    if (at >= 0 && labels[static_cast<size_t>(at)].value.empty()) ++absent;
  }
  if (series.label_count() - absent > limits.max_label_names) {
    return Fault{Reason::kMaxLabelNamesPerSeries, labels[names.metric].value};
  }
  const SeriesLabel* previous = nullptr;
  for (size_t i = 0; i < labels.size(); ++i) {
    const SeriesLabel& label = labels[i];
    if (absent > 0 && series.IsAbsent(i)) continue;
    if (const auto reason = FindLabelFault(series, label, limits)) {
      return Fault{*reason, label.name};
    }
    if (previous && previous->name >= label.name) {
      return Fault{previous->name == label.name ? Reason::kDuplicateLabelNames
                                                : Reason::kLabelsNotSorted,
                   label.name};
    }
    previous = &label;
  }
  return std::nullopt;
}

}  // namespace insula::remote_write
