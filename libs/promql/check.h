// The second half of Parse(): whether an expression means something.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "libs/promql/ast.h"

namespace insula::promql {

struct ParseError {
  int32_t position = 0;  // Offset into the text.
  std::string message;
};

// Types of operands and arguments, numbers of arguments, selectors without a
// matcher that excludes anything. Returns the first fault. Also settles how
// vectors match: set operators are many-to-many, and there is no matching with
// a scalar. `text` is what `root` was parsed from.
std::optional<ParseError> CheckTypes(Expr& root, absl::string_view text);

}  // namespace insula::promql
