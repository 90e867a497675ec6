#include "services/ingest_gateway/routing.h"

#include <algorithm>
#include <utility>

#include "libs/tenancy/tenant_id.h"

namespace insula::ingest_gateway {

using remote_write::Reason;
using remote_write::Routes;
using tenancy::v1::Upstream;

Routing::Routing(auth::Caller caller, remote_write::NameScheme name_scheme,
                 limits::ActiveSeriesOfTenants* active_series, absl::Time now)
    : caller_(std::move(caller)), active_series_(active_series), now_(now) {
  plan_.name_scheme = name_scheme;
  plan_.find =
      [this](absl::Span<const absl::string_view> values) -> const Routes& {
    return FindRoutes(values);
  };
  if (caller_.claim_rule == nullptr) return;
  const tenancy::Claims& claims = caller_.claim_rule->claims();
  plan_.deciding_labels = claims.deciding_labels();
  plan_.removed_labels = claims.removed_labels();
}

void Routing::SetFamilies(
    std::function<std::vector<std::string>(absl::string_view family)>
        tenants_of) {
  plan_.find_family =
      [this, tenants_of = std::move(tenants_of)](absl::string_view family) {
        std::vector<const remote_write::Destination*> known;
        for (const std::string& tenant : tenants_of(family)) {
          const Recipient* const recipient = Find(tenant).recipient;
          if (recipient != nullptr) known.push_back(recipient);
        }
        return known;
      };
}

const Routes& Routing::FindRoutes(absl::Span<const absl::string_view> values) {
  FindTargets(values);
  const auto [it, added] = routes_.try_emplace(targets_);
  Routes& routes = it->second;
  if (!added) return routes;
  for (const Target& target : targets_) {
    if (target.recipient != nullptr) {
      routes.destinations.push_back(target.recipient);
    } else if (std::find(routes.refused.begin(), routes.refused.end(),
                         target.reason) == routes.refused.end()) {
      routes.refused.push_back(target.reason);
    }
  }
  return routes;
}

std::vector<Routing::Decision> Routing::Decide(
    absl::Span<const absl::string_view> values) {
  FindTargets(values);
  std::vector<Decision> decisions;
  for (size_t i = 0; i < targets_.size(); ++i) {
    Decision& decision = decisions.emplace_back();
    decision.recipient = targets_[i].recipient;
    decision.reason = targets_[i].reason;
    if (caller_.claim_rule == nullptr) {
      decision.tenant_id = caller_.tenant->id.value();
      continue;
    }
    decision.tenant_id = std::string(claims_[i].tenant_id);
    decision.source = caller_.claim_rule->claims().SourceText(claims_[i]);
  }
  return decisions;
}

void Routing::FindTargets(absl::Span<const absl::string_view> values) {
  targets_.clear();
  if (caller_.claim_rule == nullptr) {
    if (caller_.tenant != nullptr) targets_.push_back(Make(caller_.tenant));
    return;
  }
  caller_.claim_rule->claims().Find(values, &claims_);
  for (const tenancy::Claim& claim : claims_) {
    targets_.push_back(claim.allowed
                           ? Find(claim.tenant_id)
                           : Target{nullptr, Reason::kTenantNotAllowed});
  }
}

Routing::Target Routing::Find(absl::string_view tenant_id) {
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

Routing::Target Routing::Make(const tenancy::Tenant* tenant) {
  if (!tenant->may_read()) return {nullptr, Reason::kTenantSuspended};
  if (!tenant->may_write()) return {nullptr, Reason::kTenantReadOnly};
  if (const auto it = recipients_.find(tenant); it != recipients_.end()) {
    return {it->second.get(), {}};
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
  recipient->max_active_series = limits.max_active_series();
  if (active_series_ != nullptr) {
    recipient->active_set = active_series_->Get(tenant->uid, now_);
    recipient->active_series = recipient->active_set.get();
  }
  const Recipient* const made = recipient.get();
  recipients_.emplace(tenant, std::move(recipient));
  return {made, {}};
}

}  // namespace insula::ingest_gateway
