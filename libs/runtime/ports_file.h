// Tells whoever started the process, or asks for its health, which ports it
// got.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::runtime {

// Replaces `path` by a line "NAME ADDRESS" for each listener, at once: a reader
// sees the former file or the complete new one. UNAVAILABLE if it can't be
// written.
absl::Status WritePortsFile(
    const std::string& path,
    const std::vector<std::pair<std::string, std::string>>& listeners);

// The address of listener `name` in such a file. NOT_FOUND, saying why, if
// there is none.
absl::StatusOr<std::string> ReadPortsFile(const std::string& path,
                                          absl::string_view name);

}  // namespace insula::runtime
