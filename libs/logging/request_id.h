// The names of requests in logs, which callers may choose.
#pragma once

#include "absl/strings/string_view.h"

namespace insula::logging {

// Whether a caller's name for its request may stand in a log:
// [A-Za-z0-9._-]{1,64}.
bool IsRequestId(absl::string_view text);

}  // namespace insula::logging
