// A bearer token that somebody else keeps fresh in a file.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace insula::federation_pusher {

// The token in the file at `path`, without white space around it. A Failure()
// of run.h, kGatewayToken, if the file can't be read or holds no token; the
// message does not show what it holds. May block.
absl::StatusOr<std::string> ReadTokenFile(const std::string& path);

}  // namespace insula::federation_pusher
