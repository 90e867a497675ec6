// Where series may be pushed; declared in kube_remote_write.h.
#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/system/error_code.hpp>
#include <cstdint>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/url_check.h"
#include "services/tenant_registry/kube_remote_write.h"

namespace insula::tenant_registry {
namespace {

namespace ip = boost::asio::ip;

struct UrlParts {
  std::string origin;  // "https://host:443", in lower case.
  std::string host;    // In lower case, without brackets and a last dot.
  std::string path;    // Begins with '/', without the query.
};

// Of a URL that passed CheckUrl.
UrlParts Split(absl::string_view url) {
  UrlParts parts;
  const size_t slashes = url.find("://");
  const std::string scheme = absl::AsciiStrToLower(url.substr(0, slashes));
  url.remove_prefix(slashes + 3);
  const size_t end = std::min(url.find_first_of("/?"), url.size());
  absl::string_view authority = url.substr(0, end);
  absl::string_view path = url.substr(end);
  path = path.substr(0, path.find('?'));
  parts.path = absl::StartsWith(path, "/") ? std::string(path) : "/";
  std::string port = scheme == "https" ? "443" : "80";
  const size_t colon = authority.rfind(':');
  const size_t bracket = authority.rfind(']');
  if (colon != absl::string_view::npos &&
      (bracket == absl::string_view::npos || colon > bracket)) {
    absl::string_view digits = authority.substr(colon + 1);
    while (digits.size() > 1 && absl::ConsumePrefix(&digits, "0")) {
    }
    port = std::string(digits);
    authority = authority.substr(0, colon);
  }
  absl::ConsumePrefix(&authority, "[");
  absl::ConsumeSuffix(&authority, "]");
  absl::ConsumeSuffix(&authority, ".");
  parts.host = absl::AsciiStrToLower(authority);
  parts.origin = absl::StrCat(scheme, "://", parts.host, ":", port);
  return parts;
}

bool IsForbidden(const ip::address_v4& address) {
  const uint32_t value = address.to_uint();
  return value >> 16 == 0xa9fe ||  // 169.254/16, link-local.
         value >> 24 == 0 ||       // 0/8, this host.
         value >> 28 >= 0xe ||     // Multicast, reserved, broadcast.
         value == 0x646464c8 ||    // 100.100.100.200, metadata.
         value == 0xa83f8110;      // 168.63.129.16, metadata.
}

bool IsForbidden(const ip::address_v6& address) {
  if (address.is_v4_mapped()) {
    return IsForbidden(ip::make_address_v4(ip::v4_mapped, address));
  }
  const ip::address_v6::bytes_type bytes = address.to_bytes();
  // These write an IPv4 address as one of IPv6: 6to4, and, below 0::/8, NAT64
  // and those before it.
  const bool embeds = (bytes[0] == 0x20 && bytes[1] == 0x02) ||
                      (bytes[0] == 0 && !address.is_loopback());
  return embeds || address.is_unspecified() || address.is_link_local() ||
         address.is_multicast() ||
         address == ip::make_address_v6("fd00:ec2::254");
}

// Whether some reader could take a host for an IPv4 address: its last label is
// a number. "2852039166", "0xa9fea9fe", "169.254.43518".
bool LooksNumeric(absl::string_view host) {
  const size_t dot = host.rfind('.');
  absl::string_view last =
      dot == absl::string_view::npos ? host : host.substr(dot + 1);
  if (last.empty()) return true;
  if (absl::ConsumePrefix(&last, "0x")) return true;
  return std::all_of(last.begin(), last.end(), [](unsigned char c) {
    return absl::ascii_isdigit(c) != 0;
  });
}

absl::Status CheckHost(const std::string& host) {
  const absl::Status refused = absl::InvalidArgumentError(absl::StrCat(
      "must not name '", host,
      "', which is no receiver of metrics: an address of this host, a "
      "link-local one, or the metadata service of a cloud"));
  if (host.find(':') != std::string::npos) {
    boost::system::error_code error;
    const ip::address_v6 address = ip::make_address_v6(host, error);
    return error || IsForbidden(address) ? refused : absl::OkStatus();
  }
  if (LooksNumeric(host)) {
    boost::system::error_code error;
    const ip::address_v4 address = ip::make_address_v4(host, error);
    // What inet_aton would take and inet_pton does not has many readings.
    return error || address.to_string() != host || IsForbidden(address)
               ? refused
               : absl::OkStatus();
  }
  for (const absl::string_view name :
       {"metadata", "metadata.google.internal", "instance-data",
        "metadata.azure.internal", "metadata.goog"}) {
    if (host == name || absl::EndsWith(host, absl::StrCat(".", name))) {
      return refused;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPushUrl(absl::string_view url) {
  RETURN_IF_ERROR(tenancy::CheckUrl(url));
  const UrlParts parts = Split(url);
  const std::string path = absl::AsciiStrToLower(parts.path);
  for (const absl::string_view escape : {"%2e", "%2f", "%5c", "%25", "%00"}) {
    if (absl::StrContains(path, escape)) {
      return absl::InvalidArgumentError(
          absl::StrCat("must not have ", escape,
                       " in its path, which readers take in different ways"));
    }
  }
  return CheckHost(parts.host);
}

bool IsUrlBelow(absl::string_view url, absl::string_view base) {
  const UrlParts below = Split(url);
  const UrlParts above = Split(base);
  if (below.origin != above.origin) return false;
  absl::string_view prefix = above.path;
  absl::ConsumeSuffix(&prefix, "/");
  absl::string_view rest = below.path;
  return absl::ConsumePrefix(&rest, prefix) &&
         (rest.empty() || rest.front() == '/');
}

}  // namespace insula::tenant_registry
