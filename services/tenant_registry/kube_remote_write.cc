#include "services/tenant_registry/kube_remote_write.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/labels/matcher.h"
#include "libs/labels/validity.h"
#include "libs/promql/literal.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/kube_fields.h"
#include "services/tenant_registry/kube_push_target.h"

namespace insula::tenant_registry {
namespace {

namespace fields = kube_fields;
using fields::Find;
using fields::Json;
using fields::Wrong;
using Target = KubeRemoteWrite::Target;

constexpr absl::string_view kPath = "spec.remoteWrite";
constexpr size_t kMaxNameBytes = 253;
constexpr size_t kMaxRegexBytes = 4096;
constexpr absl::Duration kLeastInterval = absl::Seconds(5);
constexpr absl::Duration kMostInterval = absl::Hours(24);

std::string Join(absl::string_view path, absl::string_view field) {
  return absl::StrCat(path, ".", field);
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
      RETURN_IF_ERROR(ReadPrometheusTarget(path, block, &read));
      break;
    case Target::kPushgateway:
      RETURN_IF_ERROR(ReadPushgatewayTarget(path, block));
      break;
    case Target::kRemoteWrite:
      RETURN_IF_ERROR(ReadEndpointTarget(path, block, own_namespace, &read));
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
