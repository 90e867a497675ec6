#include "services/tenant_registry/kube_declaration.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/snapshot.h"
#include "libs/tenancy/tenant_id.h"
#include "services/tenant_registry/kube_fields.h"
#include "services/tenant_registry/kube_remote_write.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {
namespace {

namespace fields = kube_fields;
using fields::Json;
using fields::Wrong;
using tenancy::TenantId;
using Kind = KubeDeclaration::Kind;

constexpr size_t kMaxDescriptionBytes = 4096;

// For names that the API server has checked, if it was one.
std::string MetaText(const Json& object, const char* key) {
  const Json* meta = fields::Find(object, "metadata");
  const Json* value = meta == nullptr ? nullptr : fields::Find(*meta, key);
  return value != nullptr && value->is_string() ? value->get<std::string>()
                                                : "";
}

absl::Status CheckMeta(const KubeDeclaration& declaration) {
  if (!fields::IsDnsLabel(declaration.name_space)) {
    return Wrong("metadata.namespace", "must be the name of a namespace");
  }
  if (!fields::IsDnsName(declaration.name)) {
    return Wrong("metadata.name", "must be a name of RFC 1123");
  }
  const size_t most =
      KubeLimits::kMaxIdBytes - declaration.name_space.size() - 1;
  if (declaration.name.size() > most) {
    return Wrong(
        "metadata.name",
        absl::StrCat("has ", declaration.name.size(), " bytes, may have ", most,
                     " in this namespace: choose a shorter one"));
  }
  return absl::OkStatus();
}

absl::Status ReadTenants(const Json& spec, KubeDeclaration* declaration) {
  const Json* tenants = fields::Find(spec, "tenants");
  if (tenants == nullptr || (tenants->is_array() && tenants->empty())) {
    return Wrong("spec.tenants", "must list at least one tenant");
  }
  std::vector<std::string> list;
  ASSIGN_OR_RETURN(
      list, fields::TextList("spec.tenants", *tenants, KubeLimits::kMaxTenants,
                             TenantId::kMaxLength));
  std::set<absl::string_view> seen;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string path = absl::StrCat("spec.tenants[", i, "]");
    RETURN_IF_ERROR(Annotate(TenantId::Parse(list[i]).status(), path));
    if (!seen.insert(list[i]).second) {
      return Wrong(path, absl::StrCat("'", list[i], "' is listed twice"));
    }
  }
  declaration->tenants = std::move(list);
  return absl::OkStatus();
}

// Has what the registry will check of it checked now, by an Access that grants
// the same within the tenant of the namespace's name.
absl::Status CheckGrant(const KubeDeclaration& declaration) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_ACCESS);
  object.mutable_meta()->set_id(
      absl::StrCat(declaration.name_space, "/", declaration.name));
  v1::Access& access = *object.mutable_access();
  access.set_tenant_id(declaration.name_space);
  access.add_source_tenant_ids(declaration.name_space);
  access.mutable_selectors()->Assign(declaration.metrics.begin(),
                                     declaration.metrics.end());
  access.mutable_label_selectors()->insert(declaration.label_selectors.begin(),
                                           declaration.label_selectors.end());
  const absl::Status status = tenancy::CheckObject(object);
  if (status.ok()) return status;
  // "Access/NAMESPACE/NAME: spec.selectors[3]: ...": as the user names it.
  absl::string_view message(status.message().data(), status.message().size());
  absl::ConsumePrefix(&message,
                      absl::StrCat("Access/", object.meta().id(), ": "));
  if (absl::ConsumePrefix(&message, "spec.selectors")) {
    return absl::InvalidArgumentError(absl::StrCat("spec.metrics", message));
  }
  if (absl::ConsumePrefix(&message, "spec.label_selectors")) {
    return absl::InvalidArgumentError(
        absl::StrCat("spec.labelSelectors", message));
  }
  return absl::InvalidArgumentError(message);
}

absl::Status ReadMetrics(const Json& spec, KubeDeclaration* declaration) {
  const Json* metrics = fields::Find(spec, "metrics");
  if (metrics == nullptr || (metrics->is_array() && metrics->empty())) {
    return Wrong("spec.metrics", "must list at least one metric");
  }
  ASSIGN_OR_RETURN(
      declaration->metrics,
      fields::TextList("spec.metrics", *metrics, KubeLimits::kMaxMetrics,
                       KubeLimits::kMaxMetricsBytes));
  size_t bytes = 0;
  for (const std::string& metric : declaration->metrics) bytes += metric.size();
  if (bytes > KubeLimits::kMaxMetricsBytes) {
    return Wrong("spec.metrics",
                 absl::StrCat("has ", bytes, " bytes, may have ",
                              KubeLimits::kMaxMetricsBytes,
                              " together: split the object"));
  }
  return absl::OkStatus();
}

absl::Status ReadMetricAccess(const Json& spec, KubeDeclaration* declaration) {
  RETURN_IF_ERROR(fields::CheckKeys("spec", spec,
                                    {"metrics", "source", "labelSelectors",
                                     "metricIsolation", "remoteWrite"}));
  RETURN_IF_ERROR(ReadMetrics(spec, declaration));

  const Json* source = fields::Find(spec, "source");
  if (source == nullptr) {
    return Wrong("spec.source",
                 absl::StrCat("must be set: to '", declaration->name_space,
                              "' for the series of this namespace"));
  }
  ASSIGN_OR_RETURN(declaration->source, fields::Text("spec.source", *source, 0,
                                                     2 * TenantId::kMaxLength));
  RETURN_IF_ERROR(
      Annotate(TenantId::Parse(declaration->source).status(), "spec.source"));

  if (const Json* labels = fields::Find(spec, "labelSelectors")) {
    ASSIGN_OR_RETURN(declaration->label_selectors,
                     fields::Labels("spec.labelSelectors", *labels));
  }
  if (const Json* isolation = fields::Find(spec, "metricIsolation")) {
    ASSIGN_OR_RETURN(const bool on,
                     fields::Bool("spec.metricIsolation", *isolation));
    declaration->isolation_off = !on;
  }
  if (const Json* remote_write = fields::Find(spec, "remoteWrite")) {
    ASSIGN_OR_RETURN(
        declaration->remote_write,
        ReadKubeRemoteWrite(*remote_write, declaration->name_space));
  }
  return CheckGrant(*declaration);
}

absl::Status ReadSpec(const Json& object, KubeDeclaration* declaration) {
  RETURN_IF_ERROR(CheckMeta(*declaration));
  const Json* spec = fields::Find(object, "spec");
  if (spec == nullptr || !spec->is_object()) {
    return Wrong("spec", "must be there, and an object");
  }
  switch (declaration->kind) {
    case Kind::kMetricAccess:
      return ReadMetricAccess(*spec, declaration);
    case Kind::kOpenMetricsRule:
      return ReadTenants(*spec, declaration);
    case Kind::kMetricsIngestionTenant:
      break;
  }
  RETURN_IF_ERROR(fields::CheckKeys("spec", *spec, {"tenants", "description"}));
  if (const Json* description = fields::Find(*spec, "description")) {
    // Text of several lines is fine: it is not looked at.
    if (!description->is_string() ||
        description->get_ref<const std::string&>().size() >
            kMaxDescriptionBytes) {
      return Wrong("spec.description",
                   absl::StrCat("must be a string of at most ",
                                kMaxDescriptionBytes, " bytes"));
    }
  }
  return ReadTenants(*spec, declaration);
}

}  // namespace

absl::string_view KubeKindName(Kind kind) {
  switch (kind) {
    case Kind::kMetricAccess:
      return "MetricAccess";
    case Kind::kOpenMetricsRule:
      return "OpenMetricsRule";
    case Kind::kMetricsIngestionTenant:
      return "MetricsIngestionTenant";
  }
  return "";
}

KubeDeclaration ReadKubeObject(Kind kind, const nlohmann::json& object) {
  KubeDeclaration declaration;
  declaration.kind = kind;
  declaration.name_space = MetaText(object, "namespace");
  declaration.name = MetaText(object, "name");
  declaration.uid = MetaText(object, "uid");
  if (const Json* meta = fields::Find(object, "metadata")) {
    const Json* generation = fields::Find(*meta, "generation");
    if (generation != nullptr && generation->is_number_integer()) {
      declaration.generation = generation->get<int64_t>();
    }
  }
  KubeDeclaration read = declaration;
  const absl::Status problem = ReadSpec(object, &read);
  if (problem.ok()) return read;
  declaration.problem = problem;  // And nothing of what was read.
  return declaration;
}

}  // namespace insula::tenant_registry
