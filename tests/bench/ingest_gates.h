// What the figures of ingest-bench may be at most.
#pragma once

#include <array>

#include "tests/bench/figures.h"

namespace insula::bench {

constexpr std::array<Gate, 4> kIngestGates = {{
    {"split10.roofline_x", 3.0, 2.4},
    {"interleaved.roofline_x", 2.0, 1.7},
    {"passthrough.roofline_x", 1.2, 1.2},
    {"hung.p99_ratio", 1.25, 1.25},
}};

}  // namespace insula::bench
