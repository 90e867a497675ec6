#include "tests/e2e/harness/process_usage.h"

#include <time.h>

#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace insula::e2e {

absl::StatusOr<absl::Duration> CpuTime(pid_t pid) {
  clockid_t clock;
  timespec used;
  if (clock_getcpuclockid(pid, &clock) != 0 ||
      clock_gettime(clock, &used) != 0) {
    return absl::NotFoundError(absl::StrCat("process ", pid, " has ended"));
  }
  return absl::DurationFromTimespec(used);
}

absl::StatusOr<int64_t> MemoryBytes(pid_t pid, absl::string_view which) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  const std::string name = absl::StrCat(which, ":");
  std::string word;
  while (status >> word) {
    int64_t kib = 0;
    if (word == name && status >> kib) return kib << 10;
  }
  return absl::NotFoundError(
      absl::StrCat("process ", pid, " has ended, or has no ", which));
}

}  // namespace insula::e2e
