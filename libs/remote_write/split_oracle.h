// The split of a remote write request as one would write it over protobuf
// objects, for tests: it knows nothing of the splitter.
#pragma once

#include <algorithm>
#include <cctype>
#include <functional>
#include <map>
#include <optional>
#include <set>
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

  std::vector<std::string> deciding;
  std::set<std::string> removed;
  std::map<std::string, Tenant> tenants;
  // Of the values of the deciding labels; those that are no tenant's are
  // refused.
  std::function<std::set<std::string>(const std::vector<std::string>&)> find;

  // What is expected: for each tenant its series, and refusals by reason.
  std::map<std::string, std::vector<TimeSeries>> kept;
  std::map<std::string, int> refused;

  void Split(const prometheus::WriteRequest& request) {
    for (const TimeSeries& series : request.timeseries()) {
      Place(series);
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

  void Place(const TimeSeries& series) {
    std::map<std::string, std::vector<std::string>> found;
    for (const Label& label : series.labels()) {
      found[label.name()].push_back(label.value());
    }
    std::vector<std::string> values;
    for (const std::string& name : deciding) {
      if (found[name].size() > 1) {
        ++refused["duplicate_label_names"];
        return;
      }
      values.push_back(found[name].empty() ? "" : found[name][0]);
    }
    const std::set<std::string> ids = find(values);
    if (ids.empty()) ++refused["tenant_missing"];
    bool not_allowed = false;
    for (const std::string& id : ids) {
      not_allowed = not_allowed || !tenants.contains(id);
      if (!tenants.contains(id)) continue;
      const std::string reason = PlaceAt(id, series);
      if (!reason.empty()) ++refused[reason];
    }
    if (not_allowed) ++refused["tenant_not_allowed"];
  }

  bool Decides(const std::string& name) const {
    return std::find(deciding.begin(), deciding.end(), name) != deciding.end();
  }

  std::string PlaceAt(const std::string& id, const TimeSeries& series) {
    const Tenant& tenant = tenants.at(id);
    TimeSeries out = series;
    out.clear_labels();
    for (const Label& label : series.labels()) {
      if (Decides(label.name()) && label.value().empty()) continue;
      *out.add_labels() = label;
    }
    std::string reason = Fault(out, tenant.limits);
    if (!reason.empty()) return reason;

    LabelMap labels;
    for (const Label& label : out.labels()) {
      labels[label.name()] = label.value();
    }
    for (const std::string& name : removed) {
      if (name == "__name__") continue;
      if (!tenant.enforced.contains(name)) labels.erase(name);
    }
    for (const auto& [name, want] : tenant.enforced) {
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
