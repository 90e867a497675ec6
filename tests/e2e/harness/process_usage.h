// What a process has used so far.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace insula::e2e {

// User and system time. NOT_FOUND if the process has ended, here and below.
absl::StatusOr<absl::Duration> CpuTime(pid_t pid);

// A size of proc_pid_status(5): "VmRSS" is what is resident now, "VmHWM" the
// most that ever was.
absl::StatusOr<int64_t> MemoryBytes(pid_t pid, absl::string_view which);

}  // namespace insula::e2e
