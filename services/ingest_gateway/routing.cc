#include "services/ingest_gateway/routing.h"

#include <algorithm>
#include <utility>

#include "libs/tenancy/endpoints.h"
#include "libs/tenancy/tenant_id.h"

namespace insula::ingest_gateway {

using remote_write::Reason;
using remote_write::Route;
using tenancy::v1::Upstream;

Routing::Routing(auth::Caller caller, remote_write::NameScheme name_scheme)
    : caller_(std::move(caller)) {
  plan_.name_scheme = name_scheme;
  plan_.find = [this](absl::string_view id) { return Find(id); };
  if (caller_.claim_rule != nullptr) {
    const auto& rule = caller_.claim_rule->spec;
    plan_.claim_label = rule.label();
    plan_.remove_claim_label = rule.remove_label();
    if (!rule.default_tenant_id().empty()) {
      plan_.otherwise = Find(rule.default_tenant_id());
    }
  } else if (caller_.tenant != nullptr) {
    plan_.otherwise = Make(caller_.tenant);
  }
}

Route Routing::Find(absl::string_view tenant_id) {
  if (!tenancy::TenantId::IsValid(tenant_id)) {
    return {nullptr, Reason::kTenantIdInvalid};
  }
  // Before the look-up: who may not write for a tenant is not told whether
  // there is one.
  if (!caller_.MayActFor(tenant_id)) {
    return {nullptr, Reason::kTenantNotAllowed};
  }
  const tenancy::Tenant* const tenant = caller_.snapshot->FindTenant(tenant_id);
  if (tenant == nullptr) return {nullptr, Reason::kTenantUnknown};
  return Make(tenant);
}

Route Routing::Make(const tenancy::Tenant* tenant) {
  if (!tenant->may_read()) return {nullptr, Reason::kTenantSuspended};
  if (!tenant->may_write()) return {nullptr, Reason::kTenantReadOnly};
  if (const auto it = recipients_.find(tenant); it != recipients_.end()) {
    return {it->second.get()};
  }
  const tenancy::Upstream* const upstream =
      caller_.snapshot->FindUpstream(tenant->spec.upstream_id());
  if (upstream == nullptr) return {nullptr, Reason::kNoUpstream};
  auto url = http::Url::Parse(upstream->spec.write_url());
  if (!url.ok()) return {nullptr, Reason::kNoUpstream};
  // Anything but a header of its own makes it a shared store.
  if (upstream->spec.isolation() != Upstream::ISOLATION_HEADER &&
      tenant->spec.enforced_labels().empty()) {
    return {nullptr, Reason::kNoEnforcedLabels};
  }
  auto recipient = std::make_unique<Recipient>();
  recipient->name = tenant->id.value();
  recipient->tenant = tenant;
  recipient->upstream = upstream;
  recipient->url = *std::move(url);
  recipient->timeout = tenancy::WriteTimeoutOf(upstream->spec);
  for (const auto& [name, value] : tenant->spec.enforced_labels()) {
    recipient->enforced_labels.push_back({name, value});
  }
  std::sort(recipient->enforced_labels.begin(),
            recipient->enforced_labels.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  recipient->tenant_limits = &caller_.snapshot->LimitsOf(*tenant);
  const auto& limits = *recipient->tenant_limits;
  recipient->limits.max_label_names = limits.max_label_names();
  recipient->limits.max_label_name_bytes = limits.max_label_name_bytes();
  recipient->limits.max_label_value_bytes = limits.max_label_value_bytes();
  const Recipient* const made = recipient.get();
  recipients_.emplace(tenant, std::move(recipient));
  return {made};
}

}  // namespace insula::ingest_gateway
