// Counts the instructions of a service by valgrind: a figure that nothing else
// on the machine changes.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "tests/e2e/harness/process.h"

namespace insula::bench {

// Whether valgrind is installed.
bool HasCallgrind();

// A directory in which `service` runs that of `bin` under callgrind: that of
// `dir`, where the counts go, too.
std::string UnderCallgrind(const e2e::TempDir& dir, const std::string& bin,
                           absl::string_view service);

// The instructions of such a service, process `pid`, while `work` runs. Once
// for each process. Dies if they can't be counted.
double CountInstructions(const e2e::TempDir& dir, pid_t pid,
                         const std::function<void()>& work);

}  // namespace insula::bench
