// What the figures of query-bench may be at most.
#pragma once

#include <array>

#include "tests/bench/figures.h"

namespace insula::bench {

constexpr std::array<Gate, 8> kQueryGates = {{
    {"small.cpu_us", 35, 25},
    // The same where a bare relay needs 15 us for a small query.
    {"small.relays", 35.0 / 15, 25.0 / 15},
    {"longest_rule.cpu_us", 60, 50},
    {"longest_rule.relays", 60.0 / 15, 50.0 / 15},
    {"series20.cpu_us", 120, 100},
    {"chain_numbers.cpu_ms", 20, 20},
    {"chain_selectors.cpu_ms", 20, 20},
    {"chain_refused.cpu_ms", 20, 20},
}};

}  // namespace insula::bench
