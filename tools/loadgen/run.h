// Sends a load.
#pragma once

#include <atomic>
#include <ostream>

#include "absl/time/time.h"
#include "tools/loadgen/options.h"
#include "tools/loadgen/tally.h"

namespace insula::loadgen {

struct Report {
  Totals totals;
  absl::Duration took;
};

// Sends what `options` say, and returns when the last answer is there. Each
// connection is a thread, and has requests of its own, so that the samples of a
// series are sent in order. With a rate, the time that a request takes counts
// from when it was due, so a receiver that holds up others shows in theirs.
// A request that fails is counted and not sent again. A 2.0 request was
// accepted if the answer says that all samples are written.
//
// Ends early when `stop` becomes true. Writes a line each second to `progress`
// unless that is null.
Report SendLoad(const Options& options, const std::atomic<bool>& stop,
                std::ostream* progress);

}  // namespace insula::loadgen
