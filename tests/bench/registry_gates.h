// What the figures of registry-bench may be at most.
#pragma once

#include <array>

#include "absl/strings/string_view.h"

namespace insula::bench {

// A figure beyond its limit makes the run fail. With ten times as many objects
// the figures are recorded: what is beyond a goal is told and no failure.
struct Gate {
  absl::string_view name;
  double limit;  // With 10,000 tenants and 100,000 bindings.
  double goal;   // With 100,000 and 1,000,000.
};

constexpr std::array<Gate, 7> kRegistryGates = {{
    {"load_s", 30, 300},
    {"restart_s", 5, 30},
    {"rss_mb", 300, 3000},
    {"follower_rss_mb", 100, 400},
    {"cold_snapshot_s", 5, 5},
    {"change_cpu_us", 1000, 1000},
    {"propagation_p99_s", 1, 0.1},
}};

}  // namespace insula::bench
