// The one table between absl::Status codes and HTTP status codes.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace insula::http {

// The status that tells a caller what `code` does. FAILED_PRECONDITION and
// OUT_OF_RANGE are 400, ABORTED and ALREADY_EXISTS 409, CANCELLED 499.
int ToHttpStatus(absl::StatusCode code);

// The status for an answer of an upstream: OK for 2xx. UNAVAILABLE for 5xx,
// 408, 425, RESOURCE_EXHAUSTED for 429, UNAUTHENTICATED for 401,
// PERMISSION_DENIED for 403, NOT_FOUND for 404, FAILED_PRECONDITION for 3xx,
// else INVALID_ARGUMENT.
absl::StatusCode FromHttpStatus(int status);

// Whether sending the same again may succeed: UNAVAILABLE, RESOURCE_EXHAUSTED,
// DEADLINE_EXCEEDED, ABORTED, CANCELLED.
bool IsRetryable(absl::StatusCode code);

// "Not Found" for 404; "Unknown" for one without a registered phrase.
absl::string_view ReasonPhrase(int status);

}  // namespace insula::http
