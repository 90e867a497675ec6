// Tells whoever started the process which ports it got.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace insula::runtime {

// Replaces `path` by a line "NAME ADDRESS" for each listener, at once: a reader
// sees the former file or the complete new one. UNAVAILABLE if it can't be
// written.
absl::Status WritePortsFile(
    const std::string& path,
    const std::vector<std::pair<std::string, std::string>>& listeners);

}  // namespace insula::runtime
