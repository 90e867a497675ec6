#include "libs/runtime/process_metrics.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libs/runtime/version.h"

namespace insula::runtime {
namespace {

double CpuSeconds() {
  timespec used = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) +
         static_cast<double>(used.tv_nsec) * 1e-9;
}

double ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  double total = 0;
  double resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double OpenFiles() {
  std::error_code error;
  std::filesystem::directory_iterator files("/proc/self/fd", error);
  if (error) return 0;
  double count = -1;  // The one that lists them.
  while (files != std::filesystem::directory_iterator()) {
    ++count;
    files.increment(error);
    if (error) return 0;
  }
  return count;
}

double MaxFiles() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<double>(limit.rlim_cur);
}

// Seconds since 1970; the kernel gives the boot and ticks from there.
double StartTime() {
  double boot = 0;
  std::ifstream stat("/proc/stat");
  for (std::string line; std::getline(stat, line);) {
    absl::string_view rest = line;
    if (absl::ConsumePrefix(&rest, "btime ")) {
      if (!absl::SimpleAtod(rest, &boot)) return 0;
      break;
    }
  }
  std::ifstream self("/proc/self/stat");
  const std::string text((std::istreambuf_iterator<char>(self)), {});
  // The second field is the name in brackets and may hold anything; the start
  // is the 22nd.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  const std::vector<absl::string_view> fields = absl::StrSplit(
      absl::string_view(text).substr(name_end + 1), ' ', absl::SkipEmpty());
  double ticks = 0;
  if (fields.size() < 20 || !absl::SimpleAtod(fields[19], &ticks)) return 0;
  return boot + ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace

metrics::CollectHook AddProcessMetrics(absl::string_view service,
                                       metrics::Registry* registry) {
  registry
      ->AddGauge("insula_build_info", "Version of the running binary.",
                 {{"version", std::string(Version())},
                  {"service", std::string(service)}})
      .Set(1);
  registry
      ->AddGauge("process_start_time_seconds",
                 "Start of the process, in seconds since 1970.")
      .Set(StartTime());
  metrics::Counter& cpu = registry->AddCounter(
      "process_cpu_seconds_total", "User and system CPU time spent.");
  metrics::Gauge& resident =
      registry->AddGauge("process_resident_memory_bytes", "Memory in RAM.");
  metrics::Gauge& open_files =
      registry->AddGauge("process_open_fds", "Open file descriptors.");
  metrics::Gauge& max_files =
      registry->AddGauge("process_max_fds", "Most open file descriptors.");
  return registry->OnCollect([&cpu, &resident, &open_files, &max_files] {
    cpu.Increment(CpuSeconds() - cpu.Value());
    resident.Set(ResidentBytes());
    open_files.Set(OpenFiles());
    max_files.Set(MaxFiles());
  });
}

}  // namespace insula::runtime
