#include "services/tenant_registry/kube_grants.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/kube_fields.h"
#include "services/tenant_registry/kube_remote_write.h"

namespace insula::tenant_registry {
namespace {

using kube_fields::Shown;

// Ids that other systems give a meaning: a namespace that happens to have such
// a name does not get it.
constexpr std::array<absl::string_view, 3> kReserved = {"0", "default-tenant",
                                                        "internal-collection"};

absl::Status Forbidden(absl::string_view field, absl::string_view what) {
  return absl::PermissionDeniedError(absl::StrCat(field, ": ", what));
}

template <typename List>
bool Contains(const List& list, absl::string_view element) {
  return std::find(list.begin(), list.end(), element) != list.end();
}

absl::Status Grant(const KubeDeclaration& declaration, const KubeGrants& grants,
                   KubeMeaning* meaning) {
  const std::string& tenant = grants.tenant_id();
  RETURN_IF_ERROR(grants.MayDeclare("metadata.namespace", tenant));
  RETURN_IF_ERROR(grants.MayRead("spec.source", declaration.source));
  for (const auto& [label, value] : declaration.label_selectors) {
    if (!grants.NamesTenants(label)) continue;
    RETURN_IF_ERROR(grants.MayRead(
        absl::StrCat("spec.labelSelectors[", label, "]"), value));
  }
  if (declaration.isolation_off) {
    RETURN_IF_ERROR(grants.MayReadAll("spec.metricIsolation"));
  }
  if (declaration.remote_write) {
    RETURN_IF_ERROR(grants.MayPush(*declaration.remote_write));
  }
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_ACCESS);
  object.mutable_meta()->set_id(
      absl::StrCat(declaration.name_space, "/", declaration.name));
  v1::Access& access = *object.mutable_access();
  access.set_tenant_id(tenant);
  access.mutable_selectors()->Assign(declaration.metrics.begin(),
                                     declaration.metrics.end());
  access.mutable_label_selectors()->insert(declaration.label_selectors.begin(),
                                           declaration.label_selectors.end());
  if (declaration.isolation_off) {
    access.set_every_source(true);
  } else {
    // The namespace's name stands for its tenant, also where that has another.
    access.add_source_tenant_ids(
        grants.IsOwn(declaration.source) ? tenant : declaration.source);
  }
  meaning->tenants[tenant] = grants.Template(tenant);
  meaning->access = std::move(object);
  return absl::OkStatus();
}

absl::Status Declare(const KubeDeclaration& declaration,
                     const KubeGrants& grants, KubeMeaning* meaning) {
  for (size_t i = 0; i < declaration.tenants.size(); ++i) {
    const std::string& tenant = declaration.tenants[i];
    RETURN_IF_ERROR(
        grants.MayDeclare(absl::StrCat("spec.tenants[", i, "]"), tenant));
    meaning->tenants[tenant] = grants.Template(tenant);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status KubeGrants::MayDeclare(absl::string_view field,
                                    const std::string& tenant) const {
  if (policy_.every_tenant() || Contains(policy_.tenant_ids(), tenant) ||
      policy_.tenant_id() == tenant) {
    return absl::OkStatus();
  }
  if (tenant != tenant_id()) {
    return Forbidden(
        field,
        absl::StrCat("namespace ", name_space_, " may not declare tenant '",
                     Shown(tenant), "', only '", tenant_id(),
                     "': have a Policy of the namespace name it in "
                     "tenant_ids"));
  }
  if (Contains(kReserved, tenant)) {
    return Forbidden(field,
                     absl::StrCat("the tenant id '", tenant,
                                  "' is reserved: have a Policy of namespace ",
                                  name_space_, " name it in tenant_ids"));
  }
  return absl::OkStatus();
}

absl::Status KubeGrants::MayRead(absl::string_view field,
                                 absl::string_view id) const {
  if (IsOwn(id) || policy_.every_source() ||
      Contains(policy_.source_tenant_ids(), id)) {
    return absl::OkStatus();
  }
  return Forbidden(
      field,
      absl::StrCat("namespace ", name_space_, " may not read the series of '",
                   Shown(id), "': write '", tenant_id(),
                   "', or have a Policy of the namespace name it in "
                   "source_tenant_ids"));
}

absl::Status KubeGrants::MayReadAll(absl::string_view field) const {
  if (policy_.every_source()) return absl::OkStatus();
  return Forbidden(
      field, absl::StrCat("namespace ", name_space_,
                          " may not switch isolation off: write true, or "
                          "have a Policy of the namespace set every_source"));
}

bool KubeGrants::NamesTenants(absl::string_view label) const {
  return label == "namespace" || (!policy_.enforced_label().empty() &&
                                  label == policy_.enforced_label());
}

absl::Status KubeGrants::MayPush(const KubeRemoteWrite& push) const {
  if (!push.target_namespace.empty() && push.target_namespace != name_space_ &&
      !Contains(policy_.target_namespaces(), push.target_namespace)) {
    return Forbidden(
        "spec.remoteWrite.prometheus.targetNamespace",
        absl::StrCat("namespace ", name_space_, " may not push to '",
                     push.target_namespace,
                     "': remove the field, or have a Policy of the namespace "
                     "name it in target_namespaces"));
  }
  if (!push.url.empty()) {
    RETURN_IF_ERROR(MayPushTo(push.url));
  }
  for (const auto& [name, value] : push.tenant_headers) {
    if (IsOwn(value)) continue;
    return Forbidden(
        absl::StrCat("spec.remoteWrite.remoteWrite.headers[", Shown(name), "]"),
        absl::StrCat("may not name '", Shown(value), "', only '", tenant_id(),
                     "'"));
  }
  return absl::OkStatus();
}

v1::Tenant KubeGrants::Template(const std::string& tenant) const {
  v1::Tenant made;
  made.set_upstream_id(policy_.upstream_id());
  made.set_limits_id(policy_.limits_id());
  made.set_rule_target_id(policy_.rule_target_id());
  if (!policy_.enforced_label().empty()) {
    (*made.mutable_enforced_labels())[policy_.enforced_label()] = tenant;
  }
  return made;
}

absl::Status KubeGrants::MayPushTo(const std::string& url) const {
  for (const std::string& base : policy_.target_urls()) {
    if (CheckPushUrl(base).ok() && IsUrlBelow(url, base)) {
      return absl::OkStatus();
    }
  }
  return Forbidden(
      "spec.remoteWrite.remoteWrite.url",
      absl::StrCat("namespace ", name_space_, " may not push to '", Shown(url),
                   "': have a Policy of the namespace name it, or a URL "
                   "above it, in target_urls"));
}

KubeMeaning UnderstandKubeObject(const KubeDeclaration& declaration,
                                 const KubeGrants& grants) {
  KubeMeaning meaning;
  meaning.status = declaration.kind == KubeDeclaration::Kind::kMetricAccess
                       ? Grant(declaration, grants, &meaning)
                       : Declare(declaration, grants, &meaning);
  if (!meaning.status.ok()) return {meaning.status, {}, {}};
  return meaning;
}

}  // namespace insula::tenant_registry
