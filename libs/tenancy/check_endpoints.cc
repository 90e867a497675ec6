// The checks of objects that name servers: upstreams, rule targets, jobs,
// instances.
#include <algorithm>
#include <array>
#include <cstddef>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/config/config.h"
#include "libs/labels/validity.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/object_checks.h"
#include "libs/tenancy/url_check.h"

namespace insula::tenancy::internal {
namespace {

namespace v1 = ::insula::registry::v1;

constexpr absl::Duration kLeastTimeout = absl::Milliseconds(1);
constexpr absl::Duration kLeastInterval = absl::Seconds(1);
constexpr int kMaxMoreUrls = 15;
constexpr int kMaxMatches = 100;
constexpr size_t kMaxMatchBytes = 16 << 10;  // Of a job, together.
constexpr size_t kMaxServiceBytes = 63;
constexpr size_t kMaxTextBytes = 256;

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

absl::Status CheckTenantHeader(const std::string& name,
                               v1::Upstream::Isolation isolation) {
  constexpr absl::string_view kField = "spec.tenant_header";
  if (name.empty()) return absl::OkStatus();
  if (isolation != v1::Upstream::ISOLATION_HEADER) {
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

// Of an Upstream or a RuleTarget.
template <typename Endpoint>
absl::Status CheckIsolation(const Endpoint& endpoint) {
  if (endpoint.isolation() != v1::Upstream::ISOLATION_HEADER &&
      endpoint.isolation() != v1::Upstream::ISOLATION_LABEL) {
    return Wrong("spec.isolation",
                 "must be ISOLATION_HEADER or ISOLATION_LABEL");
  }
  return CheckTenantHeader(endpoint.tenant_header(), endpoint.isolation());
}

// A URL below which others lie, one of which `example` names.
absl::Status CheckBaseUrl(absl::string_view field, absl::string_view url,
                          absl::string_view example) {
  RETURN_IF_ERROR(Annotate(CheckUrl(url), field));
  if (absl::StrContains(url, '?')) {
    return Wrong(field,
                 absl::StrCat("must not have a '?': it is the URL below which ",
                              example));
  }
  return absl::OkStatus();
}

absl::Status CheckMatches(const v1::Job& job) {
  if (job.matches().empty() || job.matches_size() > kMaxMatches) {
    return Wrong("spec.matches",
                 absl::StrCat("must have 1 to ", kMaxMatches,
                              " selectors, has ", job.matches_size()));
  }
  size_t bytes = 0;
  for (int i = 0; i < job.matches_size(); ++i) {
    const std::string& match = job.matches(i);
    bytes += match.size();
    if (match.empty() || bytes > kMaxMatchBytes ||
        !labels::IsValidUtf8(match)) {
      return Wrong(absl::StrCat("spec.matches[", i, "]"),
                   absl::StrCat("must be a PromQL series selector, in UTF-8, "
                                "and all of them at most ",
                                kMaxMatchBytes, " bytes"));
    }
  }
  return absl::OkStatus();
}

// What is about writes alone.
absl::Status CheckWrites(const v1::Upstream& upstream) {
  constexpr absl::string_view kUrls = "spec.more_write_urls";
  if (!v1::Upstream::WriteProtocol_IsValid(upstream.write_protocol())) {
    return Wrong("spec.write_protocol",
                 absl::StrCat(static_cast<int>(upstream.write_protocol()),
                              " is not known: must be WRITE_PROTOCOL_1 or "
                              "WRITE_PROTOCOL_2"));
  }
  if (upstream.write_url().empty()) {
    if (!upstream.more_write_urls().empty()) {
      return Wrong(kUrls, "needs spec.write_url, put the first one there");
    }
    if (upstream.write_protocol() != v1::Upstream::WRITE_PROTOCOL_UNSPECIFIED) {
      return Wrong("spec.write_protocol", "needs spec.write_url");
    }
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(Annotate(CheckUrl(upstream.write_url()), "spec.write_url"));
  if (upstream.more_write_urls_size() > kMaxMoreUrls) {
    return Wrong(kUrls, absl::StrCat("has ", upstream.more_write_urls_size(),
                                     " entries, may have ", kMaxMoreUrls));
  }
  std::set<absl::string_view> seen = {upstream.write_url()};
  for (int i = 0; i < upstream.more_write_urls_size(); ++i) {
    const std::string& url = upstream.more_write_urls(i);
    const std::string field = absl::StrCat(kUrls, "[", i, "]");
    RETURN_IF_ERROR(Annotate(CheckUrl(url), field));
    if (!seen.insert(url).second) {
      return Wrong(field, absl::StrCat("'", Shown(url), "' is there twice"));
    }
  }
  return absl::OkStatus();
}

// A name in a directory, and no way out of it.
bool IsFileName(absl::string_view name) {
  return name.size() <= 128 && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
         });
}

// How replicas are found that come and go.
absl::Status CheckDiscovery(const v1::Upstream& upstream) {
  const int ways = (upstream.query_dns() ? 1 : 0) +
                   (upstream.query_file().empty() ? 0 : 1) +
                   (upstream.has_query_services() ? 1 : 0);
  if (ways == 0) return absl::OkStatus();
  if (ways > 1) {
    return Wrong("spec.query_dns",
                 "only one of query_dns, query_file and query_services may be "
                 "set");
  }
  if (!upstream.more_query_urls().empty()) {
    return Wrong("spec.more_query_urls",
                 "must be empty where replicas are found otherwise");
  }
  if (upstream.query_dns() &&
      !absl::StartsWithIgnoreCase(upstream.query_url(), "http://")) {
    return Wrong("spec.query_dns",
                 "needs an http:// URL: certificates are seldom of addresses");
  }
  if (!upstream.query_file().empty() && !IsFileName(upstream.query_file())) {
    return Wrong("spec.query_file",
                 absl::StrCat("'", Shown(upstream.query_file()),
                              "' must be a name of at most 128 of "
                              "[A-Za-z0-9._-] that does not begin with '.'"));
  }
  if (!upstream.has_query_services()) return absl::OkStatus();
  const v1::Upstream::Services& services = upstream.query_services();
  if (services.namespace_().empty()) {
    return Wrong("spec.query_services.namespace", "must be set");
  }
  RETURN_IF_ERROR(CheckText("spec.query_services.namespace",
                            services.namespace_(), kMaxServiceBytes));
  RETURN_IF_ERROR(CheckText("spec.query_services.label_selector",
                            services.label_selector(), kMaxTextBytes));
  return CheckText("spec.query_services.port", services.port(),
                   kMaxServiceBytes);
}

// What is about reads alone.
absl::Status CheckReads(const v1::Upstream& upstream) {
  constexpr absl::string_view kUrls = "spec.more_query_urls";
  if (!v1::Upstream::QueryBalance_IsValid(upstream.query_balance())) {
    return Wrong("spec.query_balance",
                 absl::StrCat(static_cast<int>(upstream.query_balance()),
                              " is not known: must be QUERY_BALANCE_LOAD or "
                              "QUERY_BALANCE_FIRST"));
  }
  if (!v1::Upstream::QueryStore_IsValid(upstream.query_store())) {
    return Wrong("spec.query_store",
                 absl::StrCat(static_cast<int>(upstream.query_store()),
                              " is not known: must be QUERY_STORE_PROMETHEUS "
                              "or QUERY_STORE_VICTORIA_METRICS"));
  }
  if (upstream.query_url().empty()) {
    if (!upstream.more_query_urls().empty()) {
      return Wrong(kUrls, "needs spec.query_url, put the first one there");
    }
    if (upstream.query_balance() != v1::Upstream::QUERY_BALANCE_UNSPECIFIED ||
        upstream.query_store() != v1::Upstream::QUERY_STORE_UNSPECIFIED ||
        upstream.query_dns() || !upstream.query_file().empty() ||
        upstream.has_query_services()) {
      return Wrong("spec.query_url", "must be set for queries");
    }
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(CheckBaseUrl("spec.query_url", upstream.query_url(),
                               "/api/v1/query lies"));
  RETURN_IF_ERROR(CheckDiscovery(upstream));
  if (upstream.more_query_urls_size() > kMaxMoreUrls) {
    return Wrong(kUrls, absl::StrCat("has ", upstream.more_query_urls_size(),
                                     " entries, may have ", kMaxMoreUrls));
  }
  std::set<absl::string_view> seen = {upstream.query_url()};
  for (int i = 0; i < upstream.more_query_urls_size(); ++i) {
    const std::string& url = upstream.more_query_urls(i);
    const std::string field = absl::StrCat(kUrls, "[", i, "]");
    RETURN_IF_ERROR(CheckBaseUrl(field, url, "/api/v1/query lies"));
    if (!seen.insert(url).second) {
      return Wrong(field, absl::StrCat("'", Shown(url), "' is there twice"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckUpstream(const v1::Upstream& upstream) {
  if (upstream.write_url().empty() && upstream.query_url().empty()) {
    return Wrong("spec.write_url", "must be set, or spec.query_url, or both");
  }
  RETURN_IF_ERROR(CheckWrites(upstream));
  RETURN_IF_ERROR(CheckReads(upstream));
  RETURN_IF_ERROR(CheckIsolation(upstream));
  return upstream.has_timeout()
             ? CheckDuration("spec.timeout", upstream.timeout(), kLeastTimeout)
             : absl::OkStatus();
}

absl::Status CheckRuleTarget(const v1::RuleTarget& target) {
  if (target.type() != v1::RuleTarget::TYPE_PROMETHEUS &&
      target.type() != v1::RuleTarget::TYPE_CORTEX) {
    return Wrong("spec.type", "must be TYPE_PROMETHEUS or TYPE_CORTEX");
  }
  RETURN_IF_ERROR(CheckBaseUrl("spec.url", target.url(), "/api/v1/rules lies"));
  RETURN_IF_ERROR(CheckIsolation(target));
  if (target.type() == v1::RuleTarget::TYPE_PROMETHEUS &&
      target.isolation() == v1::Upstream::ISOLATION_HEADER) {
    return Wrong("spec.isolation",
                 "must be ISOLATION_LABEL: a Prometheus evaluates the rules of "
                 "all tenants alike");
  }
  return target.has_timeout()
             ? CheckDuration("spec.timeout", target.timeout(), kLeastTimeout)
             : absl::OkStatus();
}

absl::Status CheckJob(const v1::Job& job) {
  RETURN_IF_ERROR(CheckTenantId("spec.tenant_id", job.tenant_id()));
  RETURN_IF_ERROR(CheckBaseUrl("spec.source_url", job.source_url(),
                               "match[] is asked for; put the selectors into "
                               "spec.matches"));
  RETURN_IF_ERROR(CheckMatches(job));
  RETURN_IF_ERROR(CheckLabels("spec.labels", job.labels()));
  if (job.has_interval()) {
    RETURN_IF_ERROR(
        CheckDuration("spec.interval", job.interval(), kLeastInterval));
  }
  return job.has_timeout()
             ? CheckDuration("spec.timeout", job.timeout(), kLeastTimeout)
             : absl::OkStatus();
}

absl::Status CheckInstance(const v1::Instance& instance) {
  const std::string& service = instance.service();
  if (service.empty() || service.size() > kMaxServiceBytes ||
      !std::all_of(service.begin(), service.end(), [](unsigned char c) {
        return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
      })) {
    return Wrong("spec.service",
                 absl::StrCat("must be 1 to ", kMaxServiceBytes,
                              " of [a-z0-9-], e.g. ingest-gateway"));
  }
  RETURN_IF_ERROR(CheckText("spec.address", instance.address(), kMaxTextBytes));
  if (!instance.address().empty()) {
    RETURN_IF_ERROR(
        Annotate(config::CheckAddress(instance.address()), "spec.address"));
  }
  RETURN_IF_ERROR(CheckText("spec.zone", instance.zone(), kMaxTextBytes));
  if (!instance.has_started_at()) {
    return Wrong("spec.started_at", "must be set: when the process started");
  }
  return CheckTimestamp("spec.started_at", instance.started_at());
}

}  // namespace insula::tenancy::internal
