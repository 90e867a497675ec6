// The head of an HTTP/1 message: its first line and its header fields.
// For libs/http alone.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "libs/http/message.h"

namespace insula::http {

// Finds the end of a head while its bytes come in, and refuses everything that
// two parsers could read differently: lines that do not end in CR LF, control
// characters, folded lines, blanks before a colon, names that are not tokens.
//
//   HeadScanner scanner(limits);
//   ASSIGN_OR_RETURN(const std::optional<size_t> end, scanner.Scan(bytes));
class HeadScanner {
 public:
  struct Limits {
    size_t max_bytes = 32 << 10;
    size_t max_fields = 100;
  };

  explicit HeadScanner(Limits limits) : limits_(limits) {}

  // `text` is all that has come so far, from the head's first byte. Returns the
  // head's length with its empty line, or nullopt if more is needed.
  // INVALID_ARGUMENT if malformed, RESOURCE_EXHAUSTED over a limit.
  absl::StatusOr<std::optional<size_t>> Scan(absl::string_view text);

 private:
  const Limits limits_;
  size_t line_ = 0;     // Where the current line begins.
  size_t scanned_ = 0;  // No line feed between line_ and here.
  size_t lines_ = 0;    // Complete lines.
};

struct RequestHead {
  std::string method;
  std::string target;     // Starts with '/', or is "*".
  int minor_version = 1;  // Of HTTP/1.
  Headers headers;
};

struct ResponseHead {
  int status = 0;
  int minor_version = 1;
  Headers headers;
};

// Parse a head that HeadScanner found. INVALID_ARGUMENT if malformed,
// UNIMPLEMENTED for another HTTP version.
absl::StatusOr<RequestHead> ParseRequestHead(absl::string_view text);
absl::StatusOr<ResponseHead> ParseResponseHead(absl::string_view text);

// Whether these could stand in a head without changing its meaning.
bool IsToken(absl::string_view text);  // Names, methods.
bool IsFieldValue(absl::string_view text);

// Whether two field names are the same. Most differ in their length, for which
// no function is called.
inline bool IsSameName(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() && absl::EqualsIgnoreCase(a, b);
}

}  // namespace insula::http
