// Asks a running service how it is: what the health check of a container runs,
// where there is neither a shell nor curl.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/runtime/process.h"

namespace insula::runtime {

// Asks the admin server of the service that runs with `config` for `path`, such
// as "/readyz". OK if it answers 200 before `timeout` passes. Otherwise the
// message, of one line, names what was asked and what came.
//
// A service that listens on all addresses of the host is asked on loopback. One
// with port 0 is found by its ports_file, which it writes when it gets ready.
absl::Status AskHealth(const ProcessConfig& config, absl::string_view path,
                       absl::Duration timeout);

}  // namespace insula::runtime
