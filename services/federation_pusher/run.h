// One run of a job, and the reasons why runs fail.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace insula::federation_pusher {

// How a run ended. Nothing was sent unless the name begins with gateway_, or is
// partly_refused, interrupted or success.
enum class Result {
  kSuccess,
  kTenant,              // The registry does not let the tenant be written to.
  kSourceAddress,       // The source has an address that is refused.
  kSourceUnreachable,   // No answer.
  kSourceTimeout,       // No complete answer in time.
  kSourceStatus,        // Not 200.
  kSourceContentType,   // Not the text format, version 0.0.4.
  kSourceTooLarge,      // A body, line or number of samples above its limit.
  kSourceTruncated,     // The answer was cut off.
  kSourceMalformed,     // It does not parse.
  kSourceDuplicate,     // A series twice, perhaps by the labels of the job.
  kGatewayToken,        // No token to show to the ingest-gateway.
  kGatewayUnavailable,  // The ingest-gateway did not take it in time.
  kGatewayRefused,      // It took nothing.
  kPartlyRefused,       // It took some of it.
  kInterrupted,         // The job was changed or deleted, or the service ends.
  kInternal,            // A bug.
};
inline constexpr int kResultCount = 17;

// "success", "source_timeout": the label `result` of
// federation_pusher_runs_total.
absl::string_view ResultName(Result result);

// A status that remembers `result`, which is not kSuccess.
absl::Status Failure(Result result, absl::string_view message);

// What `status` remembers; kSuccess if it is OK, kInternal if nothing.
Result ResultOf(const absl::Status& status);

// Text of a peer as it may stand in a message: escaped, and cut if it is long.
std::string Shown(absl::string_view text, size_t max_bytes = 200);

struct RunReport {
  absl::Time started_at;
  absl::Duration took;
  int64_t scraped_bytes = 0;      // Of the source's answer, decompressed.
  int64_t scraped_samples = 0;    // 0 unless all of the answer was read.
  int64_t delivered_samples = 0;  // Accepted by the ingest-gateway.
  Result result = Result::kSuccess;
  std::string error;  // What failed, and the cure. Empty: success.
};

}  // namespace insula::federation_pusher
