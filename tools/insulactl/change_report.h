// The sending of changes, as apply and delete do and tell it.
#pragma once

#include <vector>

#include "absl/strings/string_view.h"
#include "tools/insulactl/batches.h"
#include "tools/insulactl/command.h"

namespace insula::insulactl {

// Sends the requests with a bar of progress if they are many, and tells what
// came of it: `done` is "applied", `noun` "object".
ExitCode SendAndTell(const Session& session, Client* client,
                     std::vector<v1::ApplyRequest> requests,
                     absl::string_view done);

}  // namespace insula::insulactl
