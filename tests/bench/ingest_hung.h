// One of 100 tenants' stores hangs.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "tests/bench/ingest_figures.h"

namespace insula::bench {

// Two gateways, `bin`'s, take the same load in turns, 5 s each, for `hang`: 250
// requests a second of one tenant each. The store of one tenant of the first
// gateway never answers. Prints, of the other 99 tenants,
//   hung.p99_ms, hung.control_p99_ms, hung.p99_ratio
void MeasureHungStore(const std::string& bin, absl::Duration hang,
                      IngestFigures* figures);

}  // namespace insula::bench
