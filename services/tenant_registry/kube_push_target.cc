#include "services/tenant_registry/kube_push_target.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/kube_fields.h"
#include "services/tenant_registry/kube_remote_write.h"

namespace insula::tenant_registry {
namespace {

namespace fields = kube_fields;
using fields::Find;
using fields::Json;
using fields::Wrong;

constexpr size_t kMaxNameBytes = 253;
constexpr size_t kMaxUrlBytes = 2048;
constexpr int64_t kMaxPort = 65535;

// Of the request itself, or of who sends it: not the user's to set.
constexpr std::array<absl::string_view, 26> kOwnHeaders = {
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-prometheus-remote-write-version",
    "x-rh-certauth-cn",
    "x-real-ip",
};
constexpr std::array<absl::string_view, 5> kOwnHeaderPrefixes = {
    "proxy-", "sec-", "impersonate-", "x-forwarded-", "x-remote-",
};
// These tell a receiver whose the series are: only the own tenant's, by policy.
constexpr std::array<absl::string_view, 5> kTenantHeaders = {
    "x-scope-orgid", "x-tenant", "x-tenant-namespace",
    "thanos-tenant", "x-org-id",
};

std::string Join(absl::string_view path, absl::string_view field) {
  return absl::StrCat(path, ".", field);
}

absl::Status CheckDnsLabel(absl::string_view path, const Json* json) {
  if (json == nullptr) return Wrong(path, "must be set");
  ASSIGN_OR_RETURN(const std::string name, fields::Text(path, *json, 1, 63));
  if (fields::IsDnsLabel(name)) return absl::OkStatus();
  return Wrong(path, absl::StrCat("'", fields::Shown(name),
                                  "' is no name of RFC 1123: [a-z0-9-], no '-' "
                                  "at an end"));
}

absl::Status CheckPort(absl::string_view path, const Json& json) {
  const Json* port = Find(json, "servicePort");
  if (port == nullptr) return absl::OkStatus();
  return fields::Integer(Join(path, "servicePort"), *port, 1, kMaxPort)
      .status();
}

absl::Status CheckSecret(absl::string_view path, const Json* secret,
                         absl::string_view own_namespace) {
  if (secret == nullptr) return Wrong(path, "must be set");
  RETURN_IF_ERROR(
      fields::CheckKeys(path, *secret, {"name", "key", "namespace"}));
  if (const Json* other = Find(*secret, "namespace")) {
    if (!other->is_string() ||
        other->get_ref<const std::string&>() != own_namespace) {
      return Wrong(Join(path, "namespace"),
                   absl::StrCat("must be '", own_namespace,
                                "': a Secret of another namespace is not "
                                "read, remove the field"));
    }
  }
  const std::string name_path = Join(path, "name");
  const Json* name = Find(*secret, "name");
  if (name == nullptr) return Wrong(name_path, "must be set");
  ASSIGN_OR_RETURN(const std::string name_text,
                   fields::Text(name_path, *name, 1, kMaxNameBytes));
  if (!fields::IsDnsName(name_text)) {
    return Wrong(name_path, "must be the name of a Secret, of [a-z0-9.-]");
  }
  const std::string key_path = Join(path, "key");
  const Json* key = Find(*secret, "key");
  if (key == nullptr) return Wrong(key_path, "must be set");
  ASSIGN_OR_RETURN(const std::string key_text,
                   fields::Text(key_path, *key, 1, kMaxNameBytes));
  if (key_text == "." || absl::StartsWith(key_text, "..") ||
      !std::all_of(key_text.begin(), key_text.end(), [](unsigned char c) {
        return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
      })) {
    return Wrong(key_path, "must be a key of a Secret, of [A-Za-z0-9._-]");
  }
  return absl::OkStatus();
}

absl::Status CheckBasicAuth(absl::string_view path, const Json& json,
                            absl::string_view own_namespace) {
  RETURN_IF_ERROR(
      fields::CheckKeys(path, json, {"username", "passwordSecret"}));
  const std::string user_path = Join(path, "username");
  const Json* user = Find(json, "username");
  if (user == nullptr) return Wrong(user_path, "must be set");
  ASSIGN_OR_RETURN(const std::string name,
                   fields::Text(user_path, *user, 1, kMaxNameBytes));
  if (absl::StrContains(name, ":")) {
    return Wrong(user_path, "must not have a ':', which ends it");
  }
  return CheckSecret(Join(path, "passwordSecret"), Find(json, "passwordSecret"),
                     own_namespace);
}

bool IsTokenCharacter(unsigned char c) {
  return absl::ascii_isalnum(c) ||
         absl::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) !=
             absl::string_view::npos;
}

absl::Status ReadHeaders(const std::string& path, const Json& json,
                         KubeRemoteWrite* result) {
  std::map<std::string, std::string> headers;
  ASSIGN_OR_RETURN(headers, fields::TextMap(path, json, KubeLimits::kMaxHeaders,
                                            KubeLimits::kMaxLabelValueBytes));
  std::map<std::string, absl::string_view> seen;
  for (const auto& [name, value] : headers) {
    const std::string element =
        absl::StrCat(path, "[", fields::Shown(name), "]");
    if (!std::all_of(name.begin(), name.end(), IsTokenCharacter)) {
      return Wrong(element, "must be the name of a header");
    }
    // Underscores and hyphens are one to receivers behind CGI and WSGI.
    std::string known = absl::AsciiStrToLower(name);
    std::replace(known.begin(), known.end(), '_', '-');
    if (!seen.emplace(known, name).second) {
      return Wrong(element, absl::StrCat("is the same header as ", seen[known],
                                         ", remove one of them"));
    }
    const auto refused = [&](absl::string_view prefix) {
      return absl::StartsWith(known, prefix);
    };
    if (std::find(kOwnHeaders.begin(), kOwnHeaders.end(), known) !=
            kOwnHeaders.end() ||
        std::any_of(kOwnHeaderPrefixes.begin(), kOwnHeaderPrefixes.end(),
                    refused)) {
      return Wrong(element,
                   "is a header that only the sender itself may set, remove "
                   "it; for a password there is basicAuth");
    }
    if (std::find(kTenantHeaders.begin(), kTenantHeaders.end(), known) !=
        kTenantHeaders.end()) {
      result->tenant_headers[name] = value;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadPrometheusTarget(absl::string_view path, const Json& json,
                                  KubeRemoteWrite* result) {
  RETURN_IF_ERROR(fields::CheckKeys(path, json,
                                    {"serviceName", "servicePort", "replicas",
                                     "statefulSetName", "targetNamespace"}));
  RETURN_IF_ERROR(
      CheckDnsLabel(Join(path, "serviceName"), Find(json, "serviceName")));
  RETURN_IF_ERROR(CheckPort(path, json));
  if (const Json* replicas = Find(json, "replicas")) {
    RETURN_IF_ERROR(fields::Integer(Join(path, "replicas"), *replicas, 1,
                                    KubeLimits::kMaxReplicas)
                        .status());
  }
  if (const Json* set = Find(json, "statefulSetName")) {
    RETURN_IF_ERROR(CheckDnsLabel(Join(path, "statefulSetName"), set));
  }
  if (const Json* name_space = Find(json, "targetNamespace")) {
    RETURN_IF_ERROR(CheckDnsLabel(Join(path, "targetNamespace"), name_space));
    result->target_namespace = name_space->get<std::string>();
  }
  return absl::OkStatus();
}

absl::Status ReadPushgatewayTarget(absl::string_view path, const Json& json) {
  RETURN_IF_ERROR(
      fields::CheckKeys(path, json, {"serviceName", "servicePort", "jobName"}));
  RETURN_IF_ERROR(
      CheckDnsLabel(Join(path, "serviceName"), Find(json, "serviceName")));
  RETURN_IF_ERROR(CheckPort(path, json));
  const std::string job_path = Join(path, "jobName");
  const Json* job = Find(json, "jobName");
  if (job == nullptr) return Wrong(job_path, "must be set");
  ASSIGN_OR_RETURN(const std::string name,
                   fields::Text(job_path, *job, 1, kMaxNameBytes));
  // It becomes a segment of a path.
  if (name == "." || name == ".." ||
      !std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == ':' ||
               c == '-';
      })) {
    return Wrong(job_path, "must be of [A-Za-z0-9_.:-], and not '.' or '..'");
  }
  return absl::OkStatus();
}

absl::Status ReadEndpointTarget(absl::string_view path, const Json& json,
                                absl::string_view own_namespace,
                                KubeRemoteWrite* result) {
  RETURN_IF_ERROR(
      fields::CheckKeys(path, json, {"url", "basicAuth", "headers"}));
  const std::string url_path = Join(path, "url");
  const Json* url = Find(json, "url");
  if (url == nullptr) return Wrong(url_path, "must be set");
  ASSIGN_OR_RETURN(result->url, fields::Text(url_path, *url, 1, kMaxUrlBytes));
  RETURN_IF_ERROR(Annotate(CheckPushUrl(result->url), url_path));
  if (const Json* auth = Find(json, "basicAuth")) {
    RETURN_IF_ERROR(
        CheckBasicAuth(Join(path, "basicAuth"), *auth, own_namespace));
  }
  if (const Json* headers = Find(json, "headers")) {
    return ReadHeaders(Join(path, "headers"), *headers, result);
  }
  return absl::OkStatus();
}

}  // namespace insula::tenant_registry
