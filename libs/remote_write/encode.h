// Makes WriteRequest messages.
//
//   std::string series;
//   AppendLabel("__name__", "up", &series);
//   AppendSample(1.0, 1700000000000, &series);
//   std::string request;
//   AppendSeries(series, &request);
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace insula::remote_write {

// To a TimeSeries message.
void AppendLabel(absl::string_view name, absl::string_view value,
                 std::string* series);
// The bits of `value` stay as they are, those of a NaN too.
void AppendSample(double value, int64_t timestamp_ms, std::string* series);

// To a WriteRequest message.
void AppendSeries(absl::string_view series, std::string* request);
// `type` is a MetricMetadata.MetricType: 1 counter, 2 gauge, 3 histogram.
void AppendMetadata(int type, absl::string_view family, absl::string_view help,
                    std::string* request);

}  // namespace insula::remote_write
