// Tells a mistake from a clean-up.
#pragma once

#include <cstddef>

namespace insula::limits {

// Whether so many things vanish at once that it is rather a lost mount or an
// emptied file than meant: more than 10, and more than `max_percent` of those
// `present`. Callers keep what vanished then, and say so, until somebody raises
// the percentage or the things are back.
bool TooManyDeletions(size_t vanished, size_t present, int max_percent);

}  // namespace insula::limits
