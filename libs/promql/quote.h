// String literals as Go and so Prometheus write and read them.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace insula::promql {

// Appends `text` in double quotes, with escapes for quotes, backslashes,
// control and other invisible characters, and bytes that are not UTF-8 (as
// `\xNN`). Unlike Go it also escapes U+FFFD, which the lexer of Prometheus
// takes for broken UTF-8.
void AppendQuoted(absl::string_view text, std::string* out);
std::string Quoted(absl::string_view text);

// The character in single quotes: `'x'`, `'\n'`, `'\u00a0'`.
std::string QuotedCharacter(char32_t c);

// The value of a string literal that the lexer has accepted, quotes included.
std::string Unquote(absl::string_view literal);

// The same. Points into the literal or, if that has escapes, to `buffer`.
absl::string_view Unquote(absl::string_view literal, std::string* buffer);

// Decodes the character at the start of `text`, which is not empty. Returns its
// length; for a byte that is not UTF-8, 1 and U+FFFD.
size_t DecodeCharacter(absl::string_view text, char32_t* c);

inline constexpr char32_t kReplacement = 0xFFFD;

}  // namespace insula::promql
