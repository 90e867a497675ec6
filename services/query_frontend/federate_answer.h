// /federate: the newest samples of series, as an exposition.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/exposition/sample.h"
#include "libs/http/message.h"
#include "services/query_frontend/answer_data.h"
#include "services/query_frontend/json.h"

namespace insula::query_frontend {

// The format that header Accept asks for: OpenMetrics if it names it, else the
// text format of Prometheus.
exposition::Format FormatFor(absl::string_view accept);

// The exposition that a store answered with, in `format`, `# EOF` at the end of
// an OpenMetrics one. Nothing is taken over that was not understood. INTERNAL:
// it is none; DATA_LOSS: it holds a series that `reads` does not allow;
// RESOURCE_EXHAUSTED: a line of it is too long, or (TooManySeries()) it has
// more than `max_series` samples; 0: no limit.
absl::StatusOr<Answer> ReadExposition(const http::Response& response,
                                      exposition::Format format,
                                      const tenancy::ReadPolicy& reads,
                                      uint64_t max_series);

// The same of no samples.
Answer EmptyExposition(exposition::Format format);

}  // namespace insula::query_frontend
