#include "services/tenant_registry/kube_remote_write.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/labels/matcher.h"
#include "libs/labels/validity.h"
#include "libs/promql/literal.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/kube_fields.h"

namespace insula::tenant_registry {
namespace {

namespace fields = kube_fields;
using fields::Find;
using fields::Json;
using fields::Wrong;
using Target = KubeRemoteWrite::Target;

constexpr absl::string_view kPath = "spec.remoteWrite";
constexpr size_t kMaxNameBytes = 253;
constexpr size_t kMaxUrlBytes = 2048;
constexpr size_t kMaxRegexBytes = 4096;
constexpr int64_t kMaxPort = 65535;
constexpr absl::Duration kLeastInterval = absl::Seconds(5);
constexpr absl::Duration kMostInterval = absl::Hours(24);

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

absl::Status ReadPrometheus(absl::string_view path, const Json& json,
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

absl::Status ReadPushgateway(absl::string_view path, const Json& json,
                             KubeRemoteWrite*) {
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

absl::Status ReadEndpoint(absl::string_view path, const Json& json,
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

struct TargetKind {
  Target target;
  absl::string_view type;  // The value of target.type.
  const char* key;         // Of its block.
};
constexpr std::array<TargetKind, 3> kTargets = {{
    {Target::kPrometheus, "prometheus", "prometheus"},
    {Target::kPushgateway, "pushgateway", "pushgateway"},
    {Target::kRemoteWrite, "remote_write", "remoteWrite"},
}};

// A block of a target, checked; only that of the chosen target goes to
// `result`.
absl::Status ReadBlock(const TargetKind& kind, const std::string& path,
                       const Json& block, absl::string_view own_namespace,
                       KubeRemoteWrite* result) {
  KubeRemoteWrite read = *result;
  switch (kind.target) {
    case Target::kPrometheus:
      RETURN_IF_ERROR(ReadPrometheus(path, block, &read));
      break;
    case Target::kPushgateway:
      RETURN_IF_ERROR(ReadPushgateway(path, block, &read));
      break;
    case Target::kRemoteWrite:
      RETURN_IF_ERROR(ReadEndpoint(path, block, own_namespace, &read));
      break;
    case Target::kNone:
      break;
  }
  if (result->target == kind.target) *result = std::move(read);
  return absl::OkStatus();
}

// The type, and the blocks of targets beside and below `target`.
absl::Status ReadTarget(const Json& json, absl::string_view own_namespace,
                        KubeRemoteWrite* result) {
  const std::string path = Join(kPath, "target");
  const Json* target = Find(json, "target");
  if (target != nullptr) {
    RETURN_IF_ERROR(fields::CheckKeys(
        path, *target, {"type", "prometheus", "pushgateway", "remoteWrite"}));
    const Json* type = Find(*target, "type");
    for (const TargetKind& kind : kTargets) {
      if (type != nullptr && *type == std::string(kind.type)) {
        result->target = kind.target;
      }
    }
    if (result->target == Target::kNone) {
      return Wrong(Join(path, "type"),
                   "must be one of prometheus, pushgateway, remote_write");
    }
  } else if (result->enabled) {
    return Wrong(path, "must be set, with its type, where enabled is true");
  }
  for (const TargetKind& kind : kTargets) {
    const Json* flat = Find(json, kind.key);
    const Json* nested = target == nullptr ? nullptr : Find(*target, kind.key);
    if (flat != nullptr && nested != nullptr && *flat != *nested) {
      return Wrong(Join(path, kind.key),
                   absl::StrCat("differs from ", kPath, ".", kind.key,
                                ", remove one of them"));
    }
    if (flat == nullptr && nested == nullptr) {
      if (result->enabled && result->target == kind.target) {
        return Wrong(
            Join(kPath, kind.key),
            absl::StrCat("must be set for the target type ", kind.type));
      }
      continue;
    }
    RETURN_IF_ERROR(ReadBlock(kind, Join(flat ? kPath : path, kind.key),
                              flat ? *flat : *nested, own_namespace, result));
  }
  return absl::OkStatus();
}

absl::Status CheckLabelName(absl::string_view path, const std::string& name) {
  if (labels::IsLegacyLabelName(name)) return absl::OkStatus();
  return Wrong(path, "must be the name of a label: [a-zA-Z_][a-zA-Z0-9_]*");
}

absl::Status CheckRelabeling(const std::string& path, const Json& json) {
  RETURN_IF_ERROR(fields::CheckKeys(path, json,
                                    {"sourceLabels", "separator", "regex",
                                     "targetLabel", "replacement", "action"}));
  std::string action = "replace";
  if (const Json* given = Find(json, "action")) {
    const std::string action_path = Join(path, "action");
    ASSIGN_OR_RETURN(action, fields::Text(action_path, *given, 1, 63));
    if (action != "replace" && action != "keep" && action != "drop" &&
        action != "labeldrop" && action != "labelkeep") {
      return Wrong(action_path,
                   "must be one of replace, keep, drop, labeldrop, labelkeep");
    }
  }
  if (const Json* labels = Find(json, "sourceLabels")) {
    const std::string labels_path = Join(path, "sourceLabels");
    std::vector<std::string> names;
    ASSIGN_OR_RETURN(
        names, fields::TextList(labels_path, *labels, KubeLimits::kMaxLabels,
                                kMaxNameBytes));
    for (size_t i = 0; i < names.size(); ++i) {
      RETURN_IF_ERROR(
          CheckLabelName(absl::StrCat(labels_path, "[", i, "]"), names[i]));
    }
  }
  for (const char* key : {"separator", "replacement"}) {
    if (const Json* text = Find(json, key)) {
      RETURN_IF_ERROR(fields::Text(Join(path, key), *text, 0,
                                   KubeLimits::kMaxLabelValueBytes)
                          .status());
    }
  }
  if (const Json* regex = Find(json, "regex")) {
    const std::string regex_path = Join(path, "regex");
    ASSIGN_OR_RETURN(const std::string text,
                     fields::Text(regex_path, *regex, 0, kMaxRegexBytes));
    RETURN_IF_ERROR(Annotate(
        labels::Matcher::Create(labels::MatchType::kRegex, "label", text)
            .status(),
        regex_path));
  }
  const std::string label_path = Join(path, "targetLabel");
  const Json* label = Find(json, "targetLabel");
  if (label == nullptr) {
    if (action != "replace") return absl::OkStatus();
    return Wrong(label_path, "must be set for the action replace");
  }
  ASSIGN_OR_RETURN(const std::string name,
                   fields::Text(label_path, *label, 1, kMaxNameBytes));
  return CheckLabelName(label_path, name);
}

absl::Status CheckRelabelings(const Json& json) {
  const std::string path = Join(kPath, "metricRelabelings");
  if (!json.is_array()) return Wrong(path, "must be a list");
  if (json.size() > KubeLimits::kMaxRelabelings) {
    return Wrong(path, absl::StrCat("has ", json.size(), " elements, may have ",
                                    KubeLimits::kMaxRelabelings));
  }
  for (size_t i = 0; i < json.size(); ++i) {
    RETURN_IF_ERROR(CheckRelabeling(absl::StrCat(path, "[", i, "]"), json[i]));
  }
  return absl::OkStatus();
}

absl::Status CheckInterval(const Json& json) {
  const std::string path = Join(kPath, "interval");
  ASSIGN_OR_RETURN(const std::string text, fields::Text(path, json, 1, 32));
  const absl::StatusOr<absl::Duration> interval = promql::ParseDuration(text);
  if (interval.ok() && *interval >= kLeastInterval &&
      *interval <= kMostInterval) {
    return absl::OkStatus();
  }
  return Wrong(path, "must be a duration from 5s to 24h, such as 30s or 1h30m");
}

}  // namespace

absl::StatusOr<KubeRemoteWrite> ReadKubeRemoteWrite(
    const Json& json, absl::string_view name_space) {
  RETURN_IF_ERROR(fields::CheckKeys(
      kPath, json,
      {"enabled", "interval", "target", "prometheus", "pushgateway",
       "remoteWrite", "extraLabels", "honorLabels", "metricRelabelings"}));
  KubeRemoteWrite result;
  const Json* enabled = Find(json, "enabled");
  if (enabled == nullptr) {
    return Wrong(Join(kPath, "enabled"), "must be set, to true or false");
  }
  ASSIGN_OR_RETURN(result.enabled,
                   fields::Bool(Join(kPath, "enabled"), *enabled));
  if (const Json* interval = Find(json, "interval")) {
    RETURN_IF_ERROR(CheckInterval(*interval));
  }
  RETURN_IF_ERROR(ReadTarget(json, name_space, &result));
  if (const Json* labels = Find(json, "extraLabels")) {
    RETURN_IF_ERROR(
        fields::Labels(Join(kPath, "extraLabels"), *labels).status());
  }
  if (const Json* honor = Find(json, "honorLabels")) {
    RETURN_IF_ERROR(fields::Bool(Join(kPath, "honorLabels"), *honor).status());
  }
  if (const Json* relabelings = Find(json, "metricRelabelings")) {
    RETURN_IF_ERROR(CheckRelabelings(*relabelings));
  }
  return result;
}

}  // namespace insula::tenant_registry
