// Tells series apart by a hash of their labels.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace insula::remote_write {

// Of one label: a whole field of a TimeSeries message. Seeded for this process,
// so that no sender can choose labels that collide. The same label in another
// encoding, which no client makes, is another label.
//
// The hash of a series is the sum of those of its labels, whose order is fixed
// and which are all different: so that it follows from that of its neighbour by
// the few labels that differ, and from that of the series as it was received by
// those that are added or dropped. A sum is as good as a hash of all, as long
// as nobody knows its terms.
uint64_t HashOfLabel(absl::string_view field);

}  // namespace insula::remote_write
