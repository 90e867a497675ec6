#include "services/tenant_registry/page_token.h"

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace insula::tenant_registry {
namespace {

// Ids and prefixes may hold any character but a NUL.
constexpr char kSeparator = '\0';

std::string Stamp(const PageToken& token) {
  return absl::StrCat(token.epoch, ".", token.revision);
}
std::string Question(const PageToken& token) {
  return absl::StrCat(static_cast<int>(token.request.kind()), ".",
                      token.request.page_size(), ".",
                      absl::BytesToHexString(token.request.id_prefix()));
}

}  // namespace

std::string WritePageToken(const PageToken& token, absl::string_view last_id) {
  const std::string separator(1, kSeparator);
  return absl::WebSafeBase64Escape(absl::StrCat(
      Stamp(token), separator, Question(token), separator, last_id));
}

absl::StatusOr<std::string> ReadPageToken(absl::string_view text,
                                          const PageToken& now) {
  std::string plain;
  std::vector<std::string> parts;
  if (absl::WebSafeBase64Unescape(text, &plain)) {
    parts = absl::StrSplit(plain, kSeparator);
  }
  if (parts.size() != 3 || parts[1] != Question(now) || parts[2].empty()) {
    return absl::InvalidArgumentError(
        "page_token: is not of this request; repeat all its other fields");
  }
  if (parts[0] != Stamp(now)) {
    return absl::OutOfRangeError(
        "page_token: an object changed since the first page; start again "
        "without a token");
  }
  return parts[2];
}

}  // namespace insula::tenant_registry
