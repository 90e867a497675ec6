// When a server wants to be asked again.
#pragma once

#include "absl/time/time.h"
#include "libs/http/message.h"

namespace insula::http {

// How long the Retry-After of `headers` asks to wait from `now` on: a number of
// seconds or a date of HTTP. Zero if there is none, or none that is understood.
absl::Duration ParseRetryAfter(const Headers& headers, absl::Time now);

}  // namespace insula::http
