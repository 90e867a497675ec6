#include "services/tenant_registry/page_token.h"

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace insula::tenant_registry {
namespace {

constexpr char kSeparator = '\0';
constexpr size_t kMaxTokenBytes = 8 << 10;  // Ours are shorter.

}  // namespace

std::string WritePageToken(const PageToken& token, absl::string_view position) {
  const std::string separator(1, kSeparator);
  return absl::WebSafeBase64Escape(
      absl::StrCat(token.state, separator, token.request, separator, position));
}

absl::StatusOr<std::string> ReadPageToken(absl::string_view text,
                                          const PageToken& now) {
  std::string plain;
  std::vector<std::string> parts;
  if (text.size() <= kMaxTokenBytes &&
      absl::WebSafeBase64Unescape(text, &plain)) {
    parts = absl::StrSplit(plain, kSeparator);
  }
  if (parts.size() != 3 || parts[1] != now.request || parts[2].empty()) {
    return absl::InvalidArgumentError(
        "page_token: is not of this request; repeat all its other fields");
  }
  if (parts[0] != now.state) {
    return absl::OutOfRangeError(
        "page_token: an object changed since the first page; start again "
        "without a token");
  }
  return parts[2];
}

}  // namespace insula::tenant_registry
