// Remote read: series as they are stored, for another Prometheus.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/http/message.h"
#include "services/query_frontend/json.h"
#include "services/query_frontend/policy.h"

namespace insula::query_frontend {

// What a store is asked. A query of the client becomes one for each selector
// that what the tenant sees of it takes.
struct ReadQuestion {
  std::string body;            // A prometheus.ReadRequest in a snappy block.
  std::vector<size_t> origin;  // Of each query in it: that of the client.
  size_t queries = 0;          // Of the client.
  // Chunks as they are stored, in frames. Samples, in one message, wherever the
  // client takes them.
  bool chunked = false;
  double cost = 0;          // As UpstreamQuery::cost.
  uint64_t max_series = 0;  // In the answer; 0: no limit.
};

// Confines the ReadRequest in the snappy block `body`. Hints to the store,
// which would change what it does with a query, are left out. INVALID_ARGUMENT:
// it is none, or has a matcher that Prometheus would refuse, or more than a
// request may have. FAILED_PRECONDITION: confined, it is too large.
// RESOURCE_EXHAUSTED: it is beyond a limit of the tenant.
absl::StatusOr<ReadQuestion> ConfineReadRequest(absl::string_view body,
                                                const Policy& policy);

// The answer to the client's queries out of that to `question`: series in the
// order of their labels, each once for a query. INTERNAL: it is no such answer.
// DATA_LOSS: it holds a series that `reads` does not allow. RESOURCE_EXHAUSTED:
// it is larger than `max_bytes`, decompressed, or (TooManySeries()) has too
// many series.
absl::StatusOr<Answer> ReadReadResponse(const http::Response& response,
                                        const ReadQuestion& question,
                                        const tenancy::ReadPolicy& reads,
                                        size_t max_bytes);

// The same where nothing was to be asked.
Answer EmptyReadResponse(const ReadQuestion& question);

}  // namespace insula::query_frontend
