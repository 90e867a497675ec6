// The answer to a write, from what became of its parts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/http/message.h"
#include "libs/remote_write/reason.h"
#include "libs/remote_write/splitter.h"

namespace insula::ingest_gateway {

// Series that were not taken, for one reason.
struct Loss {
  std::string tenant;  // Empty if they have none.
  remote_write::Reason reason;
  remote_write::Counts counts = {};
  double limit = 0;                        // That was exceeded; 0: none.
  std::vector<std::string> examples = {};  // As received, not escaped.
  std::string detail = {};                 // What the store said, not escaped.
};

// What became of a request.
struct Outcome {
  int64_t series = 0;  // Received.
  // What a store has, or has had before a retry. A series that goes to several
  // tenants counts for each.
  remote_write::Counts written = {};
  // Whether the caller may write for one of the tenants that were named.
  bool allowed = false;
  std::vector<Loss> losses;
  absl::Duration retry_after = absl::ZeroDuration();  // The longest asked for.
};

// The status for an outcome, by its worst part:
//
//   204  everything was taken
//   400  series were refused for good, the others were kept
//   403  the caller may write for none of the tenants that were named
//   429  a tenant is over its rate, or its queue is full: its part was refused,
//        the others kept
//   503  a part was not taken by its store
int StatusOf(const Outcome& outcome);

// Whether the sender will send the request again: 429 and 503.
bool IsRetried(int status);

// Status, Retry-After and a text that begins with `insula:` and names tenants,
// reasons, counts, limits and cures. Of received text it shows at most 200
// bytes, escaped.
http::Response MakeAnswer(const Outcome& outcome);

// Adds X-Prometheus-Remote-Write-{Samples,Histograms,Exemplars}-Written, as
// every answer to a remote write 2.0 request has them, and no other answer.
void SetWritten(const remote_write::Counts& written, http::Response* response);

// The answer to a request that was refused as a whole.
http::Response MakeRefusal(const absl::Status& status);

}  // namespace insula::ingest_gateway
