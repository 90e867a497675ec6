// Writes all of a text.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"

namespace insula::files {

// Writes `text` to `descriptor`, with as many calls as that takes. Returns how
// many bytes were written: all, or fewer, and errno says why. Blocks.
size_t WriteAll(int descriptor, absl::string_view text);

}  // namespace insula::files
