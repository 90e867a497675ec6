// Names for requests in logs.
#pragma once

#include <string>

#include "libs/http/message.h"

namespace insula::http {

// The one X-Request-Id of `headers` if it is [A-Za-z0-9._-]{1,64}, else a
// random one.
std::string RequestId(const Headers& headers);

std::string RandomRequestId();  // 16 hex digits.

}  // namespace insula::http
