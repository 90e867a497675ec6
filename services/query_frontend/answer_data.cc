#include "services/query_frontend/answer_data.h"

#include <simdjson.h>

#include <algorithm>
#include <utility>

#include "libs/labels/matcher.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/json_copy.h"

namespace insula::query_frontend {
namespace {

using simdjson::dom::element;
using Read = absl::StatusOr<std::optional<std::string>>;

absl::Status NotAnAnswer(absl::string_view why) {
  return absl::InternalError(why);
}

absl::Status Foreign() {
  return absl::DataLossError("a series that the tenant may not read");
}

// The value of a label of `labels`, "" if it is not there. Sets `*clear` to
// false if that cannot be told.
absl::string_view LabelOf(const simdjson::dom::object& labels,
                          absl::string_view name, bool* clear) {
  std::string_view value;
  size_t found = 0;
  // Each key is looked at: a repeated one must not hide another value.
  for (const auto field : labels) {
    if (View(field.key) != name) continue;
    ++found;
    if (field.value.get(value) != simdjson::SUCCESS) *clear = false;
  }
  if (found > 1) *clear = false;
  return View(value);
}

bool IsArrayOfStrings(const element& data) {
  simdjson::dom::array array;
  if (data.get(array) != simdjson::SUCCESS) return false;
  return std::all_of(array.begin(), array.end(),
                     [](const element& item) { return item.is_string(); });
}

// The labels of each element of a result, in its member `metric`.
absl::Status CheckMetrics(const simdjson::dom::array& result,
                          const tenancy::ReadPolicy& reads) {
  for (const element series : result) {
    const std::optional<element> labels = SoleMember(series, "metric");
    simdjson::dom::object metric;
    if (!labels.has_value() || labels->get(metric) != simdjson::SUCCESS) {
      return NotAnAnswer("data holds a series without labels");
    }
    if (!IsVisible(metric, reads)) return Foreign();
  }
  return absl::OkStatus();
}

}  // namespace

bool IsVisible(const simdjson::dom::object& labels,
               const tenancy::ReadPolicy& reads) {
  bool clear = true;
  const bool visible = reads.Allows(
      [&](absl::string_view name) { return LabelOf(labels, name, &clear); });
  return visible && clear;
}

bool IsVisibleAs(absl::string_view metric_name,
                 const simdjson::dom::object& labels,
                 const tenancy::ReadPolicy& reads) {
  bool clear = true;
  const bool visible = reads.Allows([&](absl::string_view name) {
    return name == labels::kMetricName ? metric_name
                                       : LabelOf(labels, name, &clear);
  });
  return visible && clear;
}

DataReader ReadResult(bool range_query, bool raw, SharedReads reads) {
  return [range_query, raw,
          reads = std::move(reads)](const element& data) -> Read {
    const std::optional<element> value = SoleMember(data, "result");
    simdjson::dom::array result;
    if (!value.has_value() || value->get(result) != simdjson::SUCCESS) {
      return NotAnAnswer("data holds no result");
    }
    const absl::string_view type = StringAt(data, "resultType");
    const bool known = range_query ? type == "matrix"
                                   : type == "vector" || type == "matrix" ||
                                         type == "scalar" || type == "string";
    if (!known) return NotAnAnswer("data has an odd resultType");
    if (raw) RETURN_IF_ERROR(CheckMetrics(result, *reads));
    return std::nullopt;
  };
}

DataReader ReadSeries(SharedReads reads) {
  return [reads = std::move(reads)](const element& data) -> Read {
    simdjson::dom::array array;
    if (data.get(array) != simdjson::SUCCESS) {
      return NotAnAnswer("data is not a list of series");
    }
    for (const element series : array) {
      simdjson::dom::object labels;
      if (series.get(labels) != simdjson::SUCCESS) {
        return NotAnAnswer("data is not a list of series");
      }
      if (!IsVisible(labels, *reads)) return Foreign();
    }
    return std::nullopt;
  };
}

DataReader ReadLabelValues(std::string name, SharedReads reads) {
  return [name = std::move(name),
          reads = std::move(reads)](const element& data) -> Read {
    if (!IsArrayOfStrings(data)) {
      return NotAnAnswer("data is not a list of strings");
    }
    const simdjson::dom::array values = data.get_array().value_unsafe();
    for (const element item : values) {
      if (!reads->AllowsValue(name, View(item.get_string().value_unsafe()))) {
        return absl::DataLossError("a value that no series it reads can have");
      }
    }
    return std::nullopt;
  };
}

DataReader ReadNames() {
  return [](const element& data) -> Read {
    if (!IsArrayOfStrings(data)) {
      return NotAnAnswer("data is not a list of strings");
    }
    return std::nullopt;
  };
}

DataReader ReadExemplars(SharedReads reads) {
  return [reads = std::move(reads)](const element& data) -> Read {
    simdjson::dom::array array;
    if (data.is_null()) return "[]";  // Of a query without selectors.
    if (data.get(array) != simdjson::SUCCESS) {
      return NotAnAnswer("data is not a list of exemplars");
    }
    for (const element entry : array) {
      const std::optional<element> series = SoleMember(entry, "seriesLabels");
      simdjson::dom::object labels;
      if (!series.has_value() || series->get(labels) != simdjson::SUCCESS) {
        return NotAnAnswer("data holds exemplars of no series");
      }
      if (!IsVisible(labels, *reads)) return Foreign();
    }
    return std::nullopt;
  };
}

}  // namespace insula::query_frontend
