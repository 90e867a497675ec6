#include "services/tenant_registry/kube_plan.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "services/tenant_registry/kube_grants.h"

namespace insula::tenant_registry {
namespace {

using Kind = KubeDeclaration::Kind;

constexpr absl::string_view kEveryNamespace = "*";

bool SameTemplate(const v1::Tenant& a, const v1::Tenant& b) {
  return a.upstream_id() == b.upstream_id() && a.limits_id() == b.limits_id() &&
         a.rule_target_id() == b.rule_target_id() &&
         std::equal(a.enforced_labels().begin(), a.enforced_labels().end(),
                    b.enforced_labels().begin(), b.enforced_labels().end(),
                    [](const auto& left, const auto& right) {
                      return left.first == right.first &&
                             left.second == right.second;
                    });
}

std::string NameOf(const KubeDeclaration& declaration) {
  return absl::StrCat(KubeKindName(declaration.kind), " ",
                      declaration.name_space, "/", declaration.name);
}

KubeCondition Condition(absl::string_view type, bool status,
                        absl::string_view reason, absl::string_view message) {
  return {std::string(type), status ? "True" : "False", std::string(reason),
          std::string(message)};
}

class Planner {
 public:
  Planner(const std::vector<const KubeDeclaration*>& declarations,
          const std::vector<const v1::Policy*>& policies,
          const std::vector<const v1::Object*>& kept_by_others)
      : declarations_(declarations) {
    for (const v1::Policy* policy : policies) {
      for (const std::string& name_space : policy->namespaces()) {
        policies_.emplace(name_space, policy);
      }
    }
    for (const v1::Object* object : kept_by_others) {
      others_.emplace(object->meta().id(), &object->tenant());
    }
  }

  KubePlan Plan() &&;

 private:
  // A tenant that the plan has, and who declared it first.
  struct Declared {
    v1::Tenant spec;
    const KubeDeclaration* by = nullptr;
  };

  KubeGrants GrantsOf(const KubeDeclaration& declaration) const {
    static const v1::Policy* const kNone = new v1::Policy;
    auto found = policies_.find(declaration.name_space);
    if (found == policies_.end()) found = policies_.find(kEveryNamespace);
    return KubeGrants(declaration.name_space,
                      found == policies_.end() ? *kNone : *found->second);
  }

  absl::Status CheckConflicts(const KubeMeaning& meaning) const;
  // Takes into the plan what `meaning` says, which may be a former one of
  // `declaration`.
  void Take(const KubeDeclaration& declaration, KubeMeaning meaning,
            KubeVerdict* verdict);
  void Judge(const KubeDeclaration& declaration, KubeVerdict* verdict);
  KubeCondition TenantReady(const KubeVerdict& verdict) const;
  void Finish();

  const std::vector<const KubeDeclaration*>& declarations_;
  absl::flat_hash_map<std::string, const v1::Policy*> policies_;
  absl::flat_hash_map<std::string, const v1::Tenant*> others_;
  std::map<std::string, Declared> tenants_;
  std::set<std::string> narrowed_;  // Tenants of which there is a MetricAccess.
  std::map<std::string, v1::Object> accesses_;
  KubePlan plan_;
};

absl::Status Planner::CheckConflicts(const KubeMeaning& meaning) const {
  for (const auto& [id, tenant] : meaning.tenants) {
    const auto found = tenants_.find(id);
    if (found == tenants_.end() || SameTemplate(found->second.spec, tenant)) {
      continue;
    }
    return absl::AlreadyExistsError(absl::StrCat(
        "tenant '", id, "' is declared by ", NameOf(*found->second.by),
        " with another upstream, limits, rule target or enforced label: remove "
        "one of the two, or let one Policy name both namespaces"));
  }
  return absl::OkStatus();
}

void Planner::Take(const KubeDeclaration& declaration, KubeMeaning meaning,
                   KubeVerdict* verdict) {
  for (auto& [id, tenant] : meaning.tenants) {
    verdict->tenant_ids.push_back(id);
    if (others_.contains(id)) continue;
    tenants_.try_emplace(id, Declared{std::move(tenant), &declaration});
  }
  if (!meaning.access) return;
  const v1::Access& access = meaning.access->access();
  verdict->access_id = meaning.access->meta().id();
  verdict->validated_metrics.assign(access.selectors().begin(),
                                    access.selectors().end());
  accesses_.emplace(verdict->access_id, *std::move(meaning.access));
}

absl::string_view ReasonOf(const absl::Status& status) {
  if (absl::IsPermissionDenied(status)) return "Forbidden";
  if (absl::IsAlreadyExists(status)) return "Conflict";
  return "Invalid";
}

std::string AcceptedMessage(const KubeVerdict& verdict,
                            const KubeDeclaration& declaration) {
  if (declaration.kind != Kind::kMetricAccess) {
    return absl::StrCat(
        "declares ", verdict.tenant_ids.size(),
        verdict.tenant_ids.size() == 1 ? " tenant" : " tenants");
  }
  return absl::StrCat(
      "grants tenant ", verdict.tenant_ids.front(), " ",
      verdict.validated_metrics.size(),
      verdict.validated_metrics.size() == 1 ? " pattern" : " patterns",
      declaration.isolation_off ? " of the series of every tenant" : "");
}

KubeCondition RemoteWriteCondition(const KubeDeclaration& declaration,
                                   bool accepted) {
  if (!accepted) {
    return Condition("RemoteWrite", false, "NotAccepted",
                     "nothing is pushed for an object that is not accepted");
  }
  if (!declaration.remote_write->enabled) {
    return Condition("RemoteWrite", false, "Disabled",
                     "spec.remoteWrite.enabled is false");
  }
  return Condition("RemoteWrite", false, "NotSupported",
                   "spec.remoteWrite is valid and allowed, but this version "
                   "pushes nothing for it: use a Job of the registry");
}

void Planner::Judge(const KubeDeclaration& declaration, KubeVerdict* verdict) {
  const KubeGrants grants = GrantsOf(declaration);
  const auto decide = [&](const KubeDeclaration& said) {
    KubeMeaning meaning;
    meaning.status = said.problem;
    if (meaning.status.ok()) meaning = UnderstandKubeObject(said, grants);
    if (meaning.status.ok()) meaning.status = CheckConflicts(meaning);
    const absl::Status status = meaning.status;
    if (status.ok()) Take(declaration, std::move(meaning), verdict);
    return status;
  };
  const absl::Status status = decide(declaration);
  verdict->accepted = status.ok();
  std::string message = status.ok() ? AcceptedMessage(*verdict, declaration)
                                    : std::string(status.message());
  if (!declaration.problem.ok() && declaration.former != nullptr &&
      decide(*declaration.former).ok()) {
    absl::StrAppend(&message, " (what generation ",
                    declaration.former->generation,
                    " said stays in effect until then)");
  }
  verdict->conditions.push_back(
      Condition("Accepted", status.ok(),
                status.ok() ? "Accepted" : ReasonOf(status), message));
  verdict->conditions.push_back(TenantReady(*verdict));
  if (declaration.remote_write ||
      (declaration.former != nullptr && declaration.former->remote_write)) {
    verdict->conditions.push_back(
        RemoteWriteCondition(declaration, verdict->accepted));
  }
}

KubeCondition Planner::TenantReady(const KubeVerdict& verdict) const {
  constexpr absl::string_view kType = "TenantReady";
  if (verdict.tenant_ids.empty()) {
    return Condition(kType, false, "NotAccepted",
                     "the object is not accepted and declares no tenant");
  }
  constexpr size_t kMostShown = 10;
  std::vector<std::string> without;
  for (const std::string& id : verdict.tenant_ids) {
    const auto other = others_.find(id);
    const v1::Tenant& tenant =
        other == others_.end() ? tenants_.at(id).spec : *other->second;
    if (tenant.upstream_id().empty()) without.push_back(id);
  }
  if (without.empty()) {
    return Condition(kType, true, "Ready", "every tenant has a store");
  }
  const size_t count = without.size();
  without.resize(std::min(count, kMostShown));
  return Condition(
      kType, false, "NoUpstream",
      absl::StrCat("no store, so reads and writes are refused, for: ",
                   absl::StrJoin(without, ", "),
                   count > kMostShown ? ", ..." : "",
                   "; have a Policy of the namespace name one in upstream_id"));
}

void Planner::Finish() {
  for (auto& [id, declared] : tenants_) {
    v1::Object object;
    object.mutable_meta()->set_kind(v1::KIND_TENANT);
    object.mutable_meta()->set_id(id);
    *object.mutable_tenant() = std::move(declared.spec);
    object.mutable_tenant()->set_read_scope(narrowed_.contains(id)
                                                ? v1::Tenant::READ_SCOPE_ACCESS
                                                : v1::Tenant::READ_SCOPE_OWN);
    plan_.objects.push_back(std::move(object));
  }
  for (auto& [id, object] : accesses_) {
    plan_.objects.push_back(std::move(object));
  }
}

KubePlan Planner::Plan() && {
  std::vector<size_t> order(declarations_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto place = [&](size_t i) {
    const KubeDeclaration& d = *declarations_[i];
    return std::tie(d.name_space, d.name, d.kind, d.uid);
  };
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return place(a) < place(b); });
  plan_.verdicts.resize(declarations_.size());
  for (const size_t i : order) {
    const KubeDeclaration& declaration = *declarations_[i];
    if (declaration.kind == Kind::kMetricAccess) {
      narrowed_.insert(GrantsOf(declaration).tenant_id());
    }
    Judge(declaration, &plan_.verdicts[i]);
  }
  Finish();
  return std::move(plan_);
}

}  // namespace

KubePlan PlanKubeObjects(
    const std::vector<const KubeDeclaration*>& declarations,
    const std::vector<const v1::Policy*>& policies,
    const std::vector<const v1::Object*>& kept_by_others) {
  return Planner(declarations, policies, kept_by_others).Plan();
}

}  // namespace insula::tenant_registry
