#include "libs/tenancy/tenant_id.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace insula::tenancy {
namespace {

constexpr size_t kMaxObjectIdLength = 253;

bool IsTenantIdCharacter(char c) {
  switch (c) {
    case '!':
    case '_':
    case '.':
    case '*':
    case '\'':
    case '(':
    case ')':
    case '-':
      return true;
    default:
      return absl::ascii_isalnum(static_cast<unsigned char>(c));
  }
}

bool IsObjectIdCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' ||
         c == '_' || c == '/' || c == '-';
}

bool IsReserved(absl::string_view text) {
  return text == "." || text == ".." || absl::StartsWith(text, "__") ||
         text == "user-index.json.gz";
}

}  // namespace

bool TenantId::IsValid(absl::string_view text) {
  return !text.empty() && text.size() <= kMaxLength && !IsReserved(text) &&
         std::all_of(text.begin(), text.end(), IsTenantIdCharacter);
}

absl::StatusOr<TenantId> TenantId::Parse(absl::string_view text) {
  if (IsValid(text)) return TenantId(text);
  if (text.empty() || text.size() > kMaxLength) {
    return absl::InvalidArgumentError(
        absl::StrCat("a tenant id must have 1 to ", kMaxLength,
                     " characters, got ", text.size()));
  }
  if (IsReserved(text)) {
    return absl::InvalidArgumentError(
        absl::StrCat("tenant id '", absl::CHexEscape(text),
                     "' is reserved: choose one that is not '.', '..' or "
                     "'user-index.json.gz' and does not begin with '__'"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("tenant id '", absl::CHexEscape(text),
                   "' must be of [A-Za-z0-9!_.*'()-] only"));
}

absl::Status CheckObjectId(absl::string_view text) {
  if (text.empty() || text.size() > kMaxObjectIdLength) {
    return absl::InvalidArgumentError(
        absl::StrCat("an id must have 1 to ", kMaxObjectIdLength,
                     " characters, got ", text.size()));
  }
  if (!std::all_of(text.begin(), text.end(), IsObjectIdCharacter)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "id '", absl::CHexEscape(text), "' must be of [A-Za-z0-9._/-] only"));
  }
  for (absl::string_view rest = text;;) {
    const absl::string_view segment = rest.substr(0, rest.find('/'));
    if (segment.empty() || segment == "." || segment == "..") {
      return absl::InvalidArgumentError(absl::StrCat(
          "id '", absl::CHexEscape(text),
          "' must not have an empty, '.' or '..' segment between slashes"));
    }
    if (segment.size() == rest.size()) return absl::OkStatus();
    rest.remove_prefix(segment.size() + 1);
  }
}

}  // namespace insula::tenancy
