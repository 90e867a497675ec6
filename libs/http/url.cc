#include "libs/http/url.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/status/status_macros.h"

namespace insula::http {
namespace {

constexpr size_t kMaxUrlBytes = 64 << 10;
constexpr size_t kMaxHostBytes = 253;

constexpr std::array<bool, 256> MakeUnreserved() {
  std::array<bool, 256> unreserved{};
  for (int c = 0; c < 256; ++c) {
    unreserved[c] = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                    (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
                    c == '_' || c == '~';
  }
  return unreserved;
}
constexpr std::array<bool, 256> kUnreserved = MakeUnreserved();

bool IsUnreserved(char c) { return kUnreserved[static_cast<unsigned char>(c)]; }

// Of a path or query, without '%'.
bool IsTargetCharacter(char c) {
  return IsUnreserved(c) || absl::string_view("!$&'()*+,;=:@/?").find(c) !=
                                absl::string_view::npos;
}

// By character; -1 for what is no hex digit.
constexpr std::array<int8_t, 256> MakeHexValues() {
  std::array<int8_t, 256> values{};
  for (int c = 0; c < 256; ++c) {
    values[c] = static_cast<int8_t>(c >= '0' && c <= '9'   ? c - '0'
                                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                           : -1);
  }
  return values;
}
constexpr std::array<int8_t, 256> kHexValues = MakeHexValues();

// The byte that the two characters behind a '%' stand for; negative if they are
// no hex digits.
int UnescapedByte(const char* digits) {
  const int high = kHexValues[static_cast<unsigned char>(digits[0])];
  const int low = kHexValues[static_cast<unsigned char>(digits[1])];
  return high < 0 ? high : low < 0 ? low : high << 4 | low;
}

absl::Status UrlError(absl::string_view text, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(
      "URL '", absl::CHexEscape(text.substr(0, 200)), "': ", what));
}

absl::Status CheckTarget(absl::string_view text, absl::string_view target) {
  for (size_t i = 0; i < target.size(); ++i) {
    const char c = target[i];
    if (c == '#') return UrlError(text, "has a fragment, remove it");
    if (c == '%') {
      if (i + 2 >= target.size() || UnescapedByte(&target[i + 1]) < 0) {
        return UrlError(text, "has a '%' without two hex digits");
      }
      i += 2;
    } else if (!IsTargetCharacter(c)) {
      return UrlError(text, absl::StrCat("has the character '",
                                         absl::CHexEscape(target.substr(i, 1)),
                                         "', which must be percent-encoded"));
    }
  }
  return absl::OkStatus();
}

bool IsIpv6(absl::string_view host) {
  in6_addr address;
  return inet_pton(AF_INET6, std::string(host).c_str(), &address) == 1;
}

bool IsHostName(absl::string_view host) {
  return !host.empty() && host.size() <= kMaxHostBytes && host.front() != '.' &&
         !absl::StrContains(host, "..") &&
         std::all_of(host.begin(), host.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_';
         });
}

// Splits "host", "host:port" or "[v6]:port"; `*port` stays if there is none.
absl::Status ParseAuthority(absl::string_view text, absl::string_view authority,
                            Url* url) {
  absl::string_view rest;
  if (absl::ConsumePrefix(&authority, "[")) {
    const size_t end = authority.find(']');
    if (end == authority.npos || !IsIpv6(authority.substr(0, end))) {
      return UrlError(text, "has a malformed IPv6 address");
    }
    url->host = absl::AsciiStrToLower(authority.substr(0, end));
    rest = authority.substr(end + 1);
  } else {
    const size_t colon = authority.find(':');
    url->host = absl::AsciiStrToLower(authority.substr(0, colon));
    if (colon != authority.npos) rest = authority.substr(colon);
    if (!IsHostName(url->host)) {
      return UrlError(text, "needs a host of letters, digits, '-', '.', '_'");
    }
  }
  if (rest.empty()) return absl::OkStatus();
  if (!absl::ConsumePrefix(&rest, ":") || rest.empty() || rest.size() > 5 ||
      !std::all_of(rest.begin(), rest.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(rest, &url->port) || url->port < 1 ||
      url->port > 65535) {
    return UrlError(text, "needs a port of 1 to 65535 after the host's ':'");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Url> Url::Parse(absl::string_view text) {
  if (text.size() > kMaxUrlBytes) {
    return UrlError(text, absl::StrCat("is longer than ", kMaxUrlBytes));
  }
  const size_t mark = text.find("://");
  Url url;
  if (mark != text.npos)
    url.scheme = absl::AsciiStrToLower(text.substr(0, mark));
  if (url.scheme != "http" && url.scheme != "https") {
    return UrlError(text, "must start with http:// or https://");
  }
  url.port = url.scheme == "http" ? 80 : 443;

  const absl::string_view rest = text.substr(mark + 3);
  const size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  const absl::string_view authority = rest.substr(0, end);
  if (absl::StrContains(authority, '@')) {
    // The text may hold a password: it is not repeated.
    return absl::InvalidArgumentError(
        "URL has user info before '@': give credentials by their own setting");
  }
  RETURN_IF_ERROR(ParseAuthority(text, authority, &url));
  const absl::string_view target = rest.substr(end);
  RETURN_IF_ERROR(CheckTarget(text, target));
  url.target = absl::StrCat(absl::StartsWith(target, "/") ? "" : "/", target);
  return url;
}

Url Url::Join(absl::string_view path, absl::string_view query) const {
  const absl::string_view own = target;
  const size_t mark = std::min(own.find('?'), own.size());
  absl::string_view base = own.substr(0, mark);
  absl::string_view own_query = own.substr(mark);
  absl::ConsumePrefix(&own_query, "?");

  Url joined = *this;
  if (!path.empty()) {
    absl::ConsumeSuffix(&base, "/");
    absl::ConsumePrefix(&path, "/");
    joined.target = absl::StrCat(base, "/", path);
  } else {
    joined.target = std::string(base);
  }
  const bool both = !own_query.empty() && !query.empty();
  if (!own_query.empty() || !query.empty()) {
    absl::StrAppend(&joined.target, "?", own_query, both ? "&" : "", query);
  }
  return joined;
}

std::string Url::HostPort() const {
  const bool v6 = absl::StrContains(host, ':');
  std::string text = v6 ? absl::StrCat("[", host, "]") : host;
  if (port != (scheme == "https" ? 443 : 80)) absl::StrAppend(&text, ":", port);
  return text;
}

std::string Url::ToString() const {
  return absl::StrCat(scheme, "://", HostPort(), target);
}

namespace {

void AppendEncoded(absl::string_view text, std::string* encoded) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  size_t escapes = 0;
  for (const char c : text) {
    escapes += IsUnreserved(c) ? 0 : 1;
  }
  const size_t begin = encoded->size();
  encoded->resize(begin + text.size() + 2 * escapes);
  char* to = encoded->data() + begin;
  for (const char c : text) {
    if (IsUnreserved(c)) {
      *to++ = c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      *to++ = '%';
      *to++ = kHex[byte >> 4];
      *to++ = kHex[byte & 15];
    }
  }
}

// `plus` is what a '+' stands for.
absl::StatusOr<std::string> Decode(absl::string_view text, char plus) {
  std::string decoded(text.size(), '\0');
  char* to = decoded.data();
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at != end; ++at) {
    const char c = *at;
    if (c != '%') {
      *to++ = c == '+' ? plus : c;
      continue;
    }
    const int byte = end - at > 2 ? UnescapedByte(at + 1) : -1;
    if (byte < 0) {
      const auto from = static_cast<size_t>(at - text.data());
      return absl::InvalidArgumentError(absl::StrCat(
          "'", absl::CHexEscape(text.substr(from, 3)),
          "' is not a percent-escape: write a literal '%' as %25"));
    }
    *to++ = static_cast<char>(byte);
    at += 2;
  }
  decoded.resize(static_cast<size_t>(to - decoded.data()));
  return decoded;
}

}  // namespace

std::string PercentEncode(absl::string_view text) {
  std::string encoded;
  AppendEncoded(text, &encoded);
  return encoded;
}

absl::StatusOr<std::string> PercentDecode(absl::string_view text) {
  return Decode(text, '+');
}

absl::StatusOr<Params> ParseForm(absl::string_view text, size_t max_params) {
  if (absl::StrContains(text, ';')) {
    return absl::InvalidArgumentError(
        "form parameters hold a ';': separate them by '&', write ';' as %3B");
  }
  Params params;
  constexpr size_t kUsual = 4;
  if (!text.empty()) params.reserve(kUsual);
  while (!text.empty()) {
    const size_t end = std::min(text.find('&'), text.size());
    const absl::string_view piece = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (piece.empty()) continue;
    if (params.size() >= max_params) {
      return absl::InvalidArgumentError(
          absl::StrCat("more than ", max_params, " form parameters"));
    }
    const size_t equals = std::min(piece.find('='), piece.size());
    ASSIGN_OR_RETURN(std::string name, Decode(piece.substr(0, equals), ' '));
    ASSIGN_OR_RETURN(
        std::string value,
        Decode(piece.substr(std::min(equals + 1, piece.size())), ' '));
    params.emplace_back(std::move(name), std::move(value));
  }
  return params;
}

std::string EncodeForm(const Params& params) {
  std::string text;
  for (const auto& [name, value] : params) {
    if (!text.empty()) text.push_back('&');
    AppendEncoded(name, &text);
    text.push_back('=');
    AppendEncoded(value, &text);
  }
  return text;
}

}  // namespace insula::http
