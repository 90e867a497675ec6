#include "libs/auth/base64url.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/strip.h"

namespace insula::auth {

std::optional<std::string> DecodeBase64Url(absl::string_view text) {
  const bool has_alphabet =
      std::all_of(text.begin(), text.end(), [](unsigned char c) {
        return absl::ascii_isalnum(c) || c == '-' || c == '_';
      });
  std::string bytes;
  if (!has_alphabet || !absl::WebSafeBase64Unescape(text, &bytes) ||
      EncodeBase64Url(bytes) != text) {
    return std::nullopt;
  }
  return bytes;
}

std::string EncodeBase64Url(absl::string_view bytes) {
  return absl::WebSafeBase64Escape(bytes);
}

}  // namespace insula::auth
