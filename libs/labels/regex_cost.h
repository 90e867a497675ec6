// What a regular expression will cost, before it is compiled.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"

namespace insula::labels {

// About the number of instructions of the automaton for `pattern`; 1 takes up
// to 0.2 us and 100 bytes while it is compiled. RE2 looks at its own limit only
// after it has expanded repetitions and character classes, so that 200 kB of
// `\pL` take seconds and gigabytes to refuse; and some shapes, such as
// thousands of `a?` in a row, take it quadratic time. A list of names costs
// twice its length, 2,000 of `name.*|` a quarter of a million. Rather too much
// than too little; of what is no expression, some number. Linear in the
// pattern.
size_t RegexCost(absl::string_view pattern);

}  // namespace insula::labels
