// What the figures of registry-bench may be at most.
#pragma once

#include <array>

#include "tests/bench/figures.h"

namespace insula::bench {

// The limits hold with 10,000 tenants and 100,000 bindings, the goals with ten
// times as many, where the figures are recorded: what is beyond one is told and
// no failure.
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
