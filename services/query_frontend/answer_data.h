// What the `data` of an upstream's answer must be.
//
// The second lock: series, values and names that come back are held against
// the policy once more, by other code than that which confined the question.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/tenancy/read_policy.h"

namespace simdjson::dom {
class element;
class object;
}  // namespace simdjson::dom

namespace insula::query_frontend {

using SharedReads = std::shared_ptr<const tenancy::ReadPolicy>;

// Looks at `data` and returns the text to send in its place, or nothing if it
// may be sent as it came. INTERNAL: it is not what the endpoint answers with;
// the message says what it is instead, without a byte of it. DATA_LOSS: it
// holds what the tenant may not read, and must not be sent.
using DataReader = std::function<absl::StatusOr<std::optional<std::string>>(
    const simdjson::dom::element& data)>;

// Of query and query_range: a result; of query_range a matrix. With `raw` its
// elements are series with all their labels, each of which `reads` must allow.
DataReader ReadResult(bool range_query, bool raw, SharedReads reads);
// Of series: label sets.
DataReader ReadSeries(SharedReads reads);
// Of the values of label `name`.
DataReader ReadLabelValues(std::string name, SharedReads reads);
// Of labels: strings.
DataReader ReadNames();
// Of query_exemplars: exemplars with the labels of their series.
DataReader ReadExemplars(SharedReads reads);

// Whether `reads` allows a series of these labels. A name that comes twice or
// has no text for a value is never clear, and so not allowed.
bool IsVisible(const simdjson::dom::object& labels,
               const tenancy::ReadPolicy& reads);
// The same of a series with another name (or one, as the labels have none).
bool IsVisibleAs(absl::string_view metric_name,
                 const simdjson::dom::object& labels,
                 const tenancy::ReadPolicy& reads);

}  // namespace insula::query_frontend
