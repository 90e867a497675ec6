// Backslashes of the exposition formats. For libs/exposition alone.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace insula::exposition {

// Which characters besides `\` and line feed are escaped.
enum class Quote { kNone, kDouble };

// Writes to `out`, which has room for as much as `text`, what `text` stands
// for; returns how much that is. `\\`, `\n` and, if quoted, `\"` are known; any
// other backslash stands for itself.
size_t Unescape(absl::string_view text, Quote quote, char* out);

void AppendEscaped(absl::string_view text, Quote quote, std::string* out);

}  // namespace insula::exposition
