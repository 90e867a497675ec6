// The one table between absl::Status codes and HTTP status codes.
#pragma once

#include "absl/status/status.h"

namespace insula::http {

int ToHttpStatus(absl::StatusCode code);

// The status for an answer of an upstream: OK for 2xx. UNAVAILABLE for 5xx,
// 408, 425, RESOURCE_EXHAUSTED for 429, UNAUTHENTICATED for 401,
// PERMISSION_DENIED for 403, NOT_FOUND for 404, FAILED_PRECONDITION for 3xx,
// else INVALID_ARGUMENT.
absl::StatusCode FromHttpStatus(int status);

// Whether sending the same again may succeed: UNAVAILABLE, RESOURCE_EXHAUSTED,
// DEADLINE_EXCEEDED, ABORTED, CANCELLED.
bool IsRetryable(absl::StatusCode code);

}  // namespace insula::http
