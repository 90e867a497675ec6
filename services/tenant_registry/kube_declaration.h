// What one Kubernetes object declares, as read from its JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace insula::tenant_registry {

// What a reader of Kubernetes objects takes, at most. The CRDs have the same
// bounds; they are checked here again, for the CRDs may be others.
struct KubeLimits {
  static constexpr size_t kMaxMetrics = 1000;
  static constexpr size_t kMaxMetricsBytes = 64 << 10;  // Of all together.
  static constexpr size_t kMaxLabels = 32;              // Of one map.
  static constexpr size_t kMaxLabelValueBytes = 2048;
  static constexpr size_t kMaxTenants = 1000;  // Of one object.
  static constexpr size_t kMaxHeaders = 32;
  static constexpr size_t kMaxRelabelings = 100;
  static constexpr int64_t kMaxReplicas = 256;
  // Of "NAMESPACE/NAME", which becomes the id of an Access.
  static constexpr size_t kMaxIdBytes = 253;
};

// The part of a MetricAccess that asks for series to be pushed; of it, what a
// Policy has to allow. The rest is checked and not kept.
struct KubeRemoteWrite {
  enum class Target { kNone, kPrometheus, kPushgateway, kRemoteWrite };

  bool enabled = false;
  Target target = Target::kNone;  // None is possible only if not enabled.
  // Of kPrometheus: the namespace of the service. Empty: the object's own.
  std::string target_namespace;
  std::string url;  // Of kRemoteWrite.
  // Of kRemoteWrite: those that name a tenant to the receiver, by their names
  // as written.
  std::map<std::string, std::string> tenant_headers;
};

// One custom resource, as read. Parsed once for each version of the object.
struct KubeDeclaration {
  enum class Kind {
    // observability.ethos.io/v1alpha1: grants a tenant the series to read.
    kMetricAccess,
    // open-metrics.vgs.io/v1: declares tenants. Its groups of rules are
    // rule-sync's, and not read here.
    kOpenMetricsRule,
    // open-metrics.vgs.io/v1: declares tenants.
    kMetricsIngestionTenant,
  };

  Kind kind = Kind::kMetricAccess;
  std::string name_space;
  std::string name;
  std::string uid;
  int64_t generation = 0;

  // Not OK: it can't be used, and says "FIELD: what, cure" with the path of the
  // field (spec.metrics[3]). What follows is empty then, but for `former`.
  absl::Status problem;

  // Of kOpenMetricsRule and kMetricsIngestionTenant. Valid tenant ids, none
  // twice, at least one.
  std::vector<std::string> tenants;

  // Of kMetricAccess, the patterns that name metrics, at least one.
  std::vector<std::string> metrics;
  std::map<std::string, std::string> label_selectors;
  std::string source;          // A valid tenant id.
  bool isolation_off = false;  // metricIsolation is there and false.
  std::optional<KubeRemoteWrite> remote_write;

  // What the object, the same uid, said when it last had no problem. The caller
  // sets it where `problem` is not OK and it knows: that meaning then stays in
  // effect as far as the policies still allow it.
  std::shared_ptr<const KubeDeclaration> former;
};

// "MetricAccess", ...
absl::string_view KubeKindName(KubeDeclaration::Kind kind);

// Reads the JSON of a whole object. Never fails: what is wrong goes into
// `problem`. Fields of the spec that are not known are wrong, for they might
// narrow what the others say; of an OpenMetricsRule only spec.tenants is read.
KubeDeclaration ReadKubeObject(KubeDeclaration::Kind kind,
                               const nlohmann::json& object);

}  // namespace insula::tenant_registry
