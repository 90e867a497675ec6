// The split of a remote write request as one would write it over protobuf
// objects, for tests: it knows nothing of the splitter.
#pragma once

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libs/labels/validity.h"
#include "libs/remote_write/checks.h"
#include "prometheus/remote.pb.h"

namespace insula::remote_write {

using LabelMap = std::map<std::string, std::string>;

// The rules, written as one would say them.
class Oracle {
 public:
  using Label = prometheus::Label;
  using TimeSeries = prometheus::TimeSeries;

  struct Tenant {
    LabelMap enforced;
    SeriesLimits limits;
  };

  std::string claim;
  bool remove = false;
  std::map<std::string, Tenant> tenants;
  std::string fallback;

  // What is expected: for each tenant its series, and refusals by reason.
  std::map<std::string, std::vector<TimeSeries>> kept;
  std::map<std::string, int> refused;

  void Split(const prometheus::WriteRequest& request) {
    for (const TimeSeries& series : request.timeseries()) {
      if (const std::string reason = Place(series); !reason.empty()) {
        ++refused[reason];
      }
    }
  }

 private:
  static bool Matches(const std::string& text, bool colon) {
    if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0]))) {
      return false;
    }
    return std::all_of(text.begin(), text.end(), [colon](unsigned char c) {
      return c < 0x80 && (std::isalnum(c) || c == '_' || (colon && c == ':'));
    });
  }

  std::string Place(const TimeSeries& series) {
    int claims = 0;
    std::string value;
    for (const Label& label : series.labels()) {
      if (claim.empty() || label.name() != claim) continue;
      if (++claims == 1) value = label.value();
    }
    if (claims > 1) return "duplicate_label_names";
    const std::string id = value.empty() ? fallback : value;
    if (id.empty()) return "tenant_missing";
    const auto tenant = tenants.find(id);
    if (tenant == tenants.end()) return "tenant_not_allowed";

    TimeSeries out = series;
    out.clear_labels();
    for (const Label& label : series.labels()) {
      if (claims == 1 && value.empty() && label.name() == claim) continue;
      *out.add_labels() = label;
    }
    std::string reason = Fault(out, tenant->second.limits);
    if (!reason.empty()) return reason;

    LabelMap labels;
    for (const Label& label : out.labels()) {
      labels[label.name()] = label.value();
    }
    if (remove && !tenant->second.enforced.contains(claim)) {
      labels.erase(claim);
    }
    for (const auto& [name, want] : tenant->second.enforced) {
      const auto it = labels.try_emplace(name, want).first;
      if (it->second != want) return "foreign_label";
    }
    out.clear_labels();
    for (const auto& [name, text] : labels) {
      Label* const label = out.add_labels();
      label->set_name(name);
      label->set_value(text);
    }
    kept[id].push_back(out);
    return "";
  }

  static std::string Fault(const TimeSeries& series,
                           const SeriesLimits& limits) {
    std::optional<std::string> metric;
    for (const Label& label : series.labels()) {
      if (label.name() == "__name__" && !metric) metric = label.value();
    }
    if (!metric || metric->empty()) return "missing_metric_name";
    if (!Matches(*metric, true)) return "metric_name_invalid";
    if (series.labels_size() > static_cast<int>(limits.max_label_names)) {
      return "max_label_names_per_series";
    }
    const std::string* last = nullptr;
    for (const Label& label : series.labels()) {
      if (!Matches(label.name(), false)) return "label_invalid";
      if (label.name().size() > limits.max_label_name_bytes) {
        return "label_name_too_long";
      }
      if (label.value().empty()) return "label_value_empty";
      if (label.value().size() > limits.max_label_value_bytes) {
        return "label_value_too_long";
      }
      if (label.name() == "__name__" ? !Matches(label.value(), true)
                                     : !labels::IsValidUtf8(label.value())) {
        return "label_value_invalid";
      }
      if (last && *last == label.name()) return "duplicate_label_names";
      if (last && *last > label.name()) return "labels_not_sorted";
      last = &label.name();
    }
    return "";
  }
};

}  // namespace insula::remote_write
