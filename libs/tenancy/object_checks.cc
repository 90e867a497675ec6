#include "libs/tenancy/object_checks.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/url_check.h"

namespace insula::tenancy::internal {
namespace {

namespace v1 = ::insula::registry::v1;

constexpr int64_t kMaxTimeoutSeconds = 3600;

// Fields that decide about the request itself or about who sends it.
bool IsForbiddenHeader(absl::string_view name) {
  static constexpr std::array<absl::string_view, 15> kForbidden = {
      "host",    "authorization", "connection", "keep-alive", "te",
      "trailer", "upgrade",       "expect",     "cookie",     "user-agent",
      "date",    "via",           "forwarded",  "range",      "set-cookie"};
  static constexpr std::array<absl::string_view, 6> kForbiddenPrefixes = {
      "content-", "transfer-", "proxy-", "accept", "x-forwarded-", "if-"};
  const std::string lower = absl::AsciiStrToLower(name);
  return std::find(kForbidden.begin(), kForbidden.end(), lower) !=
             kForbidden.end() ||
         std::any_of(kForbiddenPrefixes.begin(), kForbiddenPrefixes.end(),
                     [&lower](absl::string_view prefix) {
                       return absl::StartsWith(lower, prefix);
                     });
}

absl::Status CheckTenantHeader(const v1::Upstream& upstream) {
  constexpr absl::string_view kField = "spec.tenant_header";
  const std::string& name = upstream.tenant_header();
  if (name.empty()) return absl::OkStatus();
  if (upstream.isolation() != v1::Upstream::ISOLATION_HEADER) {
    return Wrong(kField, "is for ISOLATION_HEADER only, remove it");
  }
  const bool is_token =
      name.size() <= 128 &&
      std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return absl::ascii_isalnum(c) ||
               absl::string_view("!#$%&'*+-.^_`|~")
                       .find(static_cast<char>(c)) != absl::string_view::npos;
      });
  if (!is_token) {
    return Wrong(kField, absl::StrCat("'", Shown(name),
                                      "' is no HTTP header name of at most 128 "
                                      "characters, such as X-Scope-OrgID"));
  }
  if (IsForbiddenHeader(name)) {
    return Wrong(kField, absl::StrCat("'", name,
                                      "' has a meaning of its own in HTTP, "
                                      "choose one such as X-Scope-OrgID"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string Shown(absl::string_view text) {
  constexpr size_t kMost = 200;
  return absl::StrCat(absl::CHexEscape(text.substr(0, kMost)),
                      text.size() > kMost ? "..." : "");
}

absl::Status Wrong(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", what));
}

absl::Status CheckUpstream(const v1::Upstream& upstream) {
  if (upstream.write_url().empty() && upstream.query_url().empty()) {
    return Wrong("spec.write_url", "must be set, or spec.query_url, or both");
  }
  if (!upstream.write_url().empty()) {
    RETURN_IF_ERROR(Annotate(CheckUrl(upstream.write_url()), "spec.write_url"));
  }
  if (!upstream.query_url().empty()) {
    RETURN_IF_ERROR(Annotate(CheckUrl(upstream.query_url()), "spec.query_url"));
    if (absl::StrContains(upstream.query_url(), '?')) {
      return Wrong("spec.query_url",
                   "must not have a '?': it is the URL below which "
                   "/api/v1/query lies");
    }
  }
  if (upstream.isolation() != v1::Upstream::ISOLATION_HEADER &&
      upstream.isolation() != v1::Upstream::ISOLATION_LABEL) {
    return Wrong("spec.isolation",
                 "must be ISOLATION_HEADER or ISOLATION_LABEL");
  }
  RETURN_IF_ERROR(CheckTenantHeader(upstream));
  if (upstream.has_timeout()) {
    const auto& timeout = upstream.timeout();
    const bool positive = timeout.seconds() > 0 ||
                          (timeout.seconds() == 0 && timeout.nanos() > 0);
    if (!positive || timeout.seconds() >= kMaxTimeoutSeconds ||
        timeout.nanos() < 0 || timeout.nanos() > 999999999) {
      return Wrong("spec.timeout", "must be above 0 and below one hour");
    }
  }
  return absl::OkStatus();
}

}  // namespace insula::tenancy::internal
