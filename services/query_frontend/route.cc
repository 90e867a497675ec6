#include "services/query_frontend/route.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libs/labels/validity.h"

namespace insula::query_frontend {
namespace {

// What Prometheus (and Thanos, Cortex) serve besides, each with all below it:
// it shows or changes what belongs to all tenants.
constexpr absl::string_view kForbidden[] = {
    "/api/v1/admin",
    "/api/v1/alertmanagers",
    "/api/v1/notifications",
    "/api/v1/otlp",
    "/api/v1/scrape_pools",
    "/api/v1/status",
    "/api/v1/stores",
    "/api/v1/targets",
    "/api/v1/write",
    "/-/quit",
    "/-/reload",
    "/alerts",
    "/classic",
    "/config",
    "/consoles",
    "/debug",
    "/flags",
    "/graph",
    "/metrics",
    "/rules",
    "/service-discovery",
    "/static",
    "/status",
    "/targets",
    "/tsdb-status",
    "/version",
};

constexpr absl::string_view kTenantPrefix = "/t/";
constexpr absl::string_view kPrefix = "/prometheus";
constexpr absl::string_view kLabelPrefix = "/api/v1/label/";
constexpr absl::string_view kValuesSuffix = "/values";

Route Refuse(int http_status, std::string error) {
  Route route;
  route.http_status = http_status;
  route.error = std::move(error);
  return route;
}

Route BadPath(absl::string_view why) {
  return Refuse(400, absl::StrCat("insula: path ", why,
                                  ", write it plainly, like /api/v1/query"));
}

constexpr std::array<bool, 256> MakePlainPathBytes() {
  std::array<bool, 256> plain{};
  for (int c = 0; c < 256; ++c) {
    plain[c] = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
               (c >= 'A' && c <= 'Z');
  }
  for (const char c : {'-', '_', '~', '!', '$', '&', '\'', '(', ')', '*', '+',
                       ',', '=', ':', '@', '.'}) {
    plain[static_cast<unsigned char>(c)] = true;
  }
  return plain;
}
constexpr std::array<bool, 256> kPlainPathBytes = MakePlainPathBytes();

// False for those that have a meaning of their own in some URL parser.
bool IsPlainPathByte(char c) {
  return kPlainPathBytes[static_cast<unsigned char>(c)];
}

// Decodes %XX once. Nothing if what comes out could be read as path structure,
// or as another escape, by whoever looks at it next.
std::optional<std::string> DecodePath(absl::string_view path) {
  std::string decoded(path.size(), '\0');
  char* to = decoded.data();
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      if (path[i] != '/' && !IsPlainPathByte(path[i])) return std::nullopt;
      *to++ = path[i];
      continue;
    }
    if (i + 2 >= path.size() || !absl::ascii_isxdigit(path[i + 1]) ||
        !absl::ascii_isxdigit(path[i + 2])) {
      return std::nullopt;
    }
    const char c = absl::HexStringToBytes(path.substr(i + 1, 2))[0];
    if (c == '.' || !IsPlainPathByte(c)) return std::nullopt;
    *to++ = c;
    i += 2;
  }
  decoded.resize(static_cast<size_t>(to - decoded.data()));
  return decoded;
}

bool HasDotSegment(absl::string_view path) {
  if (!absl::StrContains(path, "/.")) return false;  // It begins with '/'.
  for (absl::string_view segment : absl::StrSplit(path, '/')) {
    if (segment == "." || absl::StartsWith(segment, "..")) return true;
  }
  return false;
}

bool IsForbidden(absl::string_view path) {
  return std::any_of(std::begin(kForbidden), std::end(kForbidden),
                     [path](absl::string_view known) {
                       absl::string_view rest = path;
                       return absl::ConsumePrefix(&rest, known) &&
                              (rest.empty() || rest[0] == '/');
                     });
}

std::optional<Route> FindConstant(absl::string_view path) {
  for (const EndpointInfo& info : AllEndpoints()) {
    if (path != info.path || info.path.empty()) continue;
    Route route;
    route.endpoint = info.endpoint;
    return route;
  }
  return std::nullopt;
}

std::optional<Route> FindLabelValues(absl::string_view path) {
  if (!absl::ConsumePrefix(&path, kLabelPrefix) ||
      !absl::ConsumeSuffix(&path, kValuesSuffix) ||
      absl::StrContains(path, '/')) {
    return std::nullopt;
  }
  if (!labels::IsLegacyLabelName(path)) {
    return Refuse(400, absl::StrCat("invalid label name: \"",
                                    absl::CHexEscape(path), "\""));
  }
  Route route;
  route.endpoint = Endpoint::kLabelValues;
  route.label_name = std::string(path);
  return route;
}

}  // namespace

Route FindRoute(absl::string_view path) {
  if (!absl::StartsWith(path, "/")) {
    return BadPath("must begin with '/'");
  }
  if (absl::StrContains(path, "//")) return BadPath("holds an empty segment");
  const std::optional<std::string> decoded = DecodePath(path);
  if (!decoded) return BadPath("holds a character or escape it must not");
  if (HasDotSegment(*decoded)) return BadPath("holds a dot segment");

  absl::string_view plain = *decoded;
  std::string tenant;
  if (absl::ConsumePrefix(&plain, kTenantPrefix)) {
    const size_t end = std::min(plain.find('/'), plain.size());
    tenant = std::string(plain.substr(0, end));
    plain.remove_prefix(end);
    if (tenant.empty()) return BadPath("names no tenant after /t/");
  }
  if (absl::StartsWith(plain, kPrefix) && plain.size() > kPrefix.size() &&
      plain[kPrefix.size()] == '/') {
    plain.remove_prefix(kPrefix.size());
  }
  std::optional<Route> route = FindConstant(plain);
  // Pages of operators are of no tenant and no part of Prometheus' API: nothing
  // may stand before them.
  if (route.has_value() && IsForOperators(route->endpoint) &&
      plain.size() != decoded->size()) {
    route.reset();
  }
  if (!route.has_value()) route = FindLabelValues(plain);
  if (route.has_value()) {
    route->tenant = std::move(tenant);
    return *std::move(route);
  }
  if (IsForbidden(plain)) {
    return Refuse(403, absl::StrCat("insula: ", plain,
                                    " is not open to tenants: it shows or "
                                    "changes what belongs to all of them"));
  }
  return Refuse(404, absl::StrCat("insula: there is no ", plain));
}

}  // namespace insula::query_frontend
