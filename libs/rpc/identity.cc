#include "libs/rpc/identity.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace insula::rpc {
namespace {

constexpr absl::string_view kScheme = "spiffe://";
constexpr absl::string_view kServices = "insula/";
constexpr size_t kMaxUri = 2048;
constexpr size_t kMaxTrustDomain = 255;

bool IsDomainCharacter(char c) {
  return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '.' ||
         c == '-' || c == '_';
}

bool IsSegment(absl::string_view text) {
  return !text.empty() && text != "." && text != ".." &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
         });
}

absl::Status NotSpiffe(absl::string_view uri) {
  return absl::InvalidArgumentError(
      absl::StrCat("'", absl::CHexEscape(uri.substr(0, 200)),
                   "' is no identity: give spiffe://TRUST_DOMAIN/PATH, such as "
                   "spiffe://example.org/insula/ingest-gateway"));
}

}  // namespace

absl::StatusOr<Identity> ParseIdentity(absl::string_view uri) {
  absl::string_view rest = uri;
  if (uri.size() > kMaxUri || !absl::ConsumePrefix(&rest, kScheme)) {
    return NotSpiffe(uri);
  }
  const size_t slash = rest.find('/');
  if (slash == absl::string_view::npos || slash == 0 ||
      slash > kMaxTrustDomain) {
    return NotSpiffe(uri);
  }
  const absl::string_view domain = rest.substr(0, slash);
  absl::string_view path = rest.substr(slash + 1);
  if (!std::all_of(domain.begin(), domain.end(), IsDomainCharacter)) {
    return NotSpiffe(uri);
  }
  for (const absl::string_view segment : absl::StrSplit(path, '/')) {
    if (!IsSegment(segment)) return NotSpiffe(uri);
  }
  Identity identity;
  identity.uri = std::string(uri);
  identity.trust_domain = std::string(domain);
  if (absl::ConsumePrefix(&path, kServices) && !absl::StrContains(path, '/')) {
    identity.service = std::string(path);
  }
  return identity;
}

absl::StatusOr<Identity> IdentityOf(const std::vector<std::string>& uris) {
  const std::string* found = nullptr;
  for (const std::string& uri : uris) {
    if (!absl::StartsWith(uri, kScheme)) continue;
    if (found != nullptr) {
      return absl::InvalidArgumentError(
          "the certificate has several spiffe:// names: give it one");
    }
    found = &uri;
  }
  if (found == nullptr) {
    return absl::InvalidArgumentError(
        "the certificate does not say whose it is: give it an alternative name "
        "such as URI:spiffe://example.org/insula/ingest-gateway");
  }
  return ParseIdentity(*found);
}

}  // namespace insula::rpc
