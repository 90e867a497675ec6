#include "libs/tenancy/url_check.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace insula::tenancy {
namespace {

constexpr size_t kMaxUrlBytes = 2048;

absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("is no URL such as http://host:9090/path: ", what));
}

bool IsUrlCharacter(unsigned char c) {
  return absl::ascii_isgraph(c) &&
         absl::string_view("\"<>\\^`{|}").find(static_cast<char>(c)) ==
             absl::string_view::npos;
}

bool IsNameCharacter(unsigned char c) {
  return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
}

bool IsIpv6Character(unsigned char c) {
  return absl::ascii_isxdigit(c) || c == ':' || c == '.';
}

absl::Status CheckAuthority(absl::string_view authority) {
  if (authority.find('@') != absl::string_view::npos) {
    return Wrong("it must not have user info ('@')");
  }
  absl::string_view rest = authority;  // What follows the host.
  if (absl::ConsumePrefix(&rest, "[")) {
    const size_t end = rest.find(']');
    if (end == absl::string_view::npos || end < 2 ||
        !std::all_of(rest.begin(), rest.begin() + end, IsIpv6Character)) {
      return Wrong("it has a bad IPv6 address");
    }
    rest.remove_prefix(end + 1);
  } else {
    const size_t end = std::min(rest.find(':'), rest.size());
    if (end == 0) return Wrong("it has no host");
    if (end > 253 ||
        !std::all_of(rest.begin(), rest.begin() + end, IsNameCharacter)) {
      return Wrong("its host must be of [A-Za-z0-9._-]");
    }
    rest.remove_prefix(end);
  }
  if (rest.empty()) return absl::OkStatus();
  int port = 0;
  if (!absl::ConsumePrefix(&rest, ":") || rest.empty() || rest.size() > 5 ||
      !std::all_of(rest.begin(), rest.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(rest, &port) || port < 1 || port > 65535) {
    return Wrong("its port must be 1 to 65535");
  }
  return absl::OkStatus();
}

absl::Status CheckPath(absl::string_view path) {
  for (const absl::string_view segment : absl::StrSplit(path, '/')) {
    if (segment == "." || segment == "..") {
      return Wrong("its path must not have '.' or '..' segments");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckUrl(absl::string_view text) {
  if (text.size() > kMaxUrlBytes) {
    return Wrong(absl::StrCat("it has more than ", kMaxUrlBytes, " bytes"));
  }
  if (!std::all_of(text.begin(), text.end(), IsUrlCharacter)) {
    return Wrong("blanks and the like must be percent-encoded");
  }
  if (text.find('#') != absl::string_view::npos) {
    return Wrong("it must not have a fragment ('#')");
  }
  for (size_t i = text.find('%'); i != absl::string_view::npos;
       i = text.find('%', i + 1)) {
    if (i + 2 >= text.size() || !absl::ascii_isxdigit(text[i + 1]) ||
        !absl::ascii_isxdigit(text[i + 2])) {
      return Wrong("'%' must be followed by two hex digits");
    }
  }
  absl::string_view rest = text;
  if (!absl::ConsumePrefix(&rest, "http://") &&
      !absl::ConsumePrefix(&rest, "https://")) {
    return Wrong("it must begin with http:// or https://");
  }
  const size_t end = std::min(rest.find_first_of("/?"), rest.size());
  if (absl::Status status = CheckAuthority(rest.substr(0, end)); !status.ok()) {
    return status;
  }
  const absl::string_view target = rest.substr(end);
  return CheckPath(target.substr(0, target.find('?')));
}

}  // namespace insula::tenancy
