// What an answer of the ingest-gateway means for the request it is to.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/http/message.h"

namespace insula::federation_pusher {

struct PushVerdict {
  enum class Kind {
    kAccepted,  // All of it, or all but `refused`.
    kRefused,   // For good; the next request may fare better.
    kHopeless,  // For good, as will be every other request.
    kLater,     // The same again may be accepted.
  };
  Kind kind = Kind::kLater;
  int64_t refused = 0;                         // Samples.
  absl::Duration wait = absl::ZeroDuration();  // If the answer says so.
  std::string detail;                          // Of what went wrong.
};

// The verdict on a request of `samples` samples, each in a series of its own,
// by its answer, or by why there is none:
//
//   2xx             accepted
//   400             accepted, but for the series that its text counts; refused
//                   if it counts none
//   401, 403, 404, 405, 415, 3xx    hopeless: not about this request's samples
//   429, 5xx, no answer             later
//   other 4xx       refused
PushVerdict JudgePush(const absl::StatusOr<http::Response>& answer,
                      int64_t samples, absl::Time now);

}  // namespace insula::federation_pusher
