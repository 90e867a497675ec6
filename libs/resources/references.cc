#include "libs/resources/references.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace insula::resources {

std::string Reference::field_name() const {
  if (index < 0) return std::string(field);
  return absl::StrCat(field, "[", index, "]");
}

namespace {

void VisitClaimRule(const v1::ClaimRule& rule,
                    absl::FunctionRef<void(const Reference&)> visit) {
  const auto all = [&](absl::string_view field, const auto& ids) {
    for (int i = 0; i < ids.size(); ++i) {
      visit({field, i, v1::KIND_TENANT, ids[i]});
    }
  };
  if (!rule.default_tenant_id().empty()) {
    visit({"spec.default_tenant_id", -1, v1::KIND_TENANT,
           rule.default_tenant_id()});
  }
  all("spec.default_tenant_ids", rule.default_tenant_ids());
  all("spec.allowed_tenant_ids", rule.allowed_tenant_ids());
  for (int i = 0; i < rule.selections_size(); ++i) {
    all(absl::StrCat("spec.selections[", i, "].tenant_ids"),
        rule.selections(i).tenant_ids());
  }
  for (int i = 0; i < rule.values_size(); ++i) {
    for (const auto& [value, id] : rule.values(i).tenant_ids()) {
      // None: series with this value are refused.
      if (id.empty()) continue;
      visit({absl::StrCat("spec.values[", i, "].tenant_ids[",
                          absl::CHexEscape(value), "]"),
             -1, v1::KIND_TENANT, id});
    }
  }
}

}  // namespace

void ForEachReference(const v1::Object& object,
                      absl::FunctionRef<void(const Reference&)> visit) {
  auto one = [&](absl::string_view field, v1::Kind kind,
                 const std::string& id) {
    if (!id.empty()) visit({field, -1, kind, id});
  };
  auto all = [&](absl::string_view field, v1::Kind kind, const auto& ids) {
    for (int i = 0; i < ids.size(); ++i) visit({field, i, kind, ids[i]});
  };
  switch (object.spec_case()) {
    case v1::Object::kTenant:
      one("spec.limits_id", v1::KIND_LIMITS, object.tenant().limits_id());
      one("spec.upstream_id", v1::KIND_UPSTREAM, object.tenant().upstream_id());
      one("spec.rule_target_id", v1::KIND_RULE_TARGET,
          object.tenant().rule_target_id());
      break;
    case v1::Object::kBinding:
      all("spec.tenant_ids", v1::KIND_TENANT, object.binding().tenant_ids());
      one("spec.claim_rule_id", v1::KIND_CLAIM_RULE,
          object.binding().claim_rule_id());
      break;
    case v1::Object::kAccess:
      one("spec.tenant_id", v1::KIND_TENANT, object.access().tenant_id());
      all("spec.source_tenant_ids", v1::KIND_TENANT,
          object.access().source_tenant_ids());
      break;
    case v1::Object::kClaimRule:
      VisitClaimRule(object.claim_rule(), visit);
      break;
    case v1::Object::kPolicy:
      one("spec.upstream_id", v1::KIND_UPSTREAM, object.policy().upstream_id());
      one("spec.rule_target_id", v1::KIND_RULE_TARGET,
          object.policy().rule_target_id());
      one("spec.limits_id", v1::KIND_LIMITS, object.policy().limits_id());
      break;
    case v1::Object::kJob:
      one("spec.tenant_id", v1::KIND_TENANT, object.job().tenant_id());
      break;
    default:
      break;
  }
}

void ObjectIndex::Add(const v1::Object& object) {
  ForEachReference(object, [&](const Reference& reference) {
    referrers_[reference.target()].insert(&object);
  });
  const tenancy::FactKey fact = tenancy::FactKeyOf(object.binding());
  if (!fact.empty()) by_fact_[fact] = &object;
}

void ObjectIndex::Remove(const v1::Object& object) {
  ForEachReference(object, [&](const Reference& reference) {
    const auto it = referrers_.find(reference.target());
    if (it == referrers_.end()) return;
    it->second.erase(&object);
    if (it->second.empty()) referrers_.erase(it);
  });
  const auto fact = by_fact_.find(tenancy::FactKeyOf(object.binding()));
  if (fact != by_fact_.end() && fact->second == &object) by_fact_.erase(fact);
}

const ObjectIndex::Referrers* ObjectIndex::ReferrersOf(
    const ObjectKey& target) const {
  const auto it = referrers_.find(target);
  return it == referrers_.end() ? nullptr : &it->second;
}

const v1::Object* ObjectIndex::FactHolder(const tenancy::FactKey& fact) const {
  const auto it = by_fact_.find(fact);
  return it == by_fact_.end() ? nullptr : it->second;
}

}  // namespace insula::resources
