// Whether a series is valid, and what is wrong with it if not.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "libs/remote_write/reason.h"
#include "libs/remote_write/series.h"
#include "libs/remote_write/series_memory.h"

namespace insula::remote_write {

// Limits of a tenant's series, as the sender sent them.
struct SeriesLimits {
  uint32_t max_label_names = 30;  // __name__ included.
  uint32_t max_label_name_bytes = 1024;
  uint32_t max_label_value_bytes = 2048;
};

struct Fault {
  Reason reason;
  absl::string_view what;  // The label or metric name in question.
};

// The first fault of `series`, in Cortex' order: metric name, number of labels,
// then label by label its name, value and place. A deciding label with an empty
// value counts as absent.
std::optional<Fault> FindFault(const SeriesReader& series,
                               const SeriesLimits& limits);

// The common case: what is known of all labels together says that there is no
// fault. False: look at each of them.
inline bool IsClean(const SeriesReader& series, const SeriesLimits& limits) {
  return series.is_flawless() &&
         series.label_count() <= limits.max_label_names &&
         series.names().longest <= limits.max_label_name_bytes &&
         series.longest_value() <= limits.max_label_value_bytes;
}

// The same for a series that is known.
inline bool IsClean(const KnownSeries& series, const SeriesLimits& limits) {
  return series.label_count() <= limits.max_label_names &&
         series.names().longest <= limits.max_label_name_bytes &&
         series.facts().longest_value <= limits.max_label_value_bytes;
}

}  // namespace insula::remote_write
