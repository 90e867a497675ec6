// URLs, percent-encoding and form parameters.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::http {

// An absolute http or https URL.
struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // Name or address; IPv6 without brackets.
  int port = 0;        // Filled in: 80 or 443 if not given.
  std::string target;  // "/path?query", at least "/". Still encoded.

  // INVALID_ARGUMENT if `text` is not such a URL, or has user info, a fragment,
  // a malformed escape or a character that RFC 3986 wants escaped. Scheme and
  // host become lower case.
  static absl::StatusOr<Url> Parse(absl::string_view text);

  // This URL with "/"-joined `path` after its own path, and `query` (if not
  // empty) after '?', or after '&' if it has a query of its own, which stays.
  // Both already encoded.
  Url Join(absl::string_view path, absl::string_view query = "") const;

  std::string HostPort() const;  // As in a Host header.
  std::string ToString() const;
};

// Everything but [A-Za-z0-9-._~] as %XX.
std::string PercentEncode(absl::string_view text);

// INVALID_ARGUMENT for '%' without two hex digits. '+' stays.
absl::StatusOr<std::string> PercentDecode(absl::string_view text);

using Params = std::vector<std::pair<std::string, std::string>>;

// Parses application/x-www-form-urlencoded text strictly: '+' is a blank, ';'
// and a malformed escape are INVALID_ARGUMENT, as is more than `max_params`.
absl::StatusOr<Params> ParseForm(absl::string_view text,
                                 size_t max_params = 1000);

// The reverse.
std::string EncodeForm(const Params& params);

}  // namespace insula::http
