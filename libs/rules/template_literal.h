// Literals of Go's templates.
#pragma once

#include "absl/strings/string_view.h"

namespace insula::rules::internal {

// Whether the token, quotes included, is a string of Go: double-quoted with its
// escapes, or raw between backticks.
bool IsTemplateString(absl::string_view token);

// Whether the token is one character in single quotes.
bool IsTemplateCharacter(absl::string_view token);

// Whether the token is a number. Of what Go takes, numbers with `_`,
// hexadecimal fractions and imaginary ones are not.
bool IsTemplateNumber(absl::string_view token);

}  // namespace insula::rules::internal
