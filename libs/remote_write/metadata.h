// Which tenants the metadata of a metric belongs to.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace insula::remote_write {

// Whether a MetricMetadata message (well-formed) has a name, and only UTF-8
// texts.
bool IsUsableMetadata(absl::string_view message);

// The metric families that a metric may belong to, its own name first: that
// without a suffix of histograms, summaries, counters and the like.
std::vector<absl::string_view> FamiliesOf(absl::string_view metric);

// The metrics that a family may have: of its name, and of its name with such a
// suffix.
std::vector<std::string> MetricsOf(absl::string_view family);

// The family that `field`, a whole metadata field of a WriteRequest, describes.
absl::string_view MetadataFamily(absl::string_view field);

// The name of the metric of a TimeSeries message; empty if it has none.
absl::string_view MetricName(absl::string_view series);

// The metric name of the first series of `body`, a WriteRequest; empty if there
// is none. A view of it.
absl::string_view FirstMetricName(absl::string_view body);

// The metric names in request bodies, by body. Holds views of them.
class MetricIndex {
 public:
  // Takes the names of the series in `body`, a WriteRequest without metadata.
  // Indexes come in ascending order.
  void Add(absl::string_view body, size_t index);

  // The indexes, ascending, whose bodies have series of the family that
  // `field`, a whole metadata field of a WriteRequest, describes: metrics of
  // its name, or of its name with a suffix of histograms, summaries and
  // counters.
  std::vector<size_t> Find(absl::string_view field) const;

 private:
  absl::flat_hash_map<absl::string_view, std::vector<size_t>> bodies_of_;
};

}  // namespace insula::remote_write
