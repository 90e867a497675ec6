// What the kernel knows of this process, under the names that every Prometheus
// client library uses, and insula_build_info.
#pragma once

#include "absl/strings/string_view.h"
#include "libs/metrics/metrics.h"

namespace insula::runtime {

// Adds process_cpu_seconds_total, process_resident_memory_bytes,
// process_open_fds, process_max_fds, process_start_time_seconds and
// insula_build_info{version,service}; they follow while the hook lives.
// What /proc does not tell stays 0.
[[nodiscard]] metrics::CollectHook AddProcessMetrics(
    absl::string_view service, metrics::Registry* registry);

}  // namespace insula::runtime
