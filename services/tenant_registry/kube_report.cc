#include "services/tenant_registry/kube_report.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/tenant_registry/planner.h"

namespace insula::tenant_registry {
namespace {

constexpr char kAccepted[] = "Accepted";
constexpr char kTenantReady[] = "TenantReady";

bool Meet(const std::set<std::string>& a, const std::set<std::string>& b) {
  return std::any_of(a.begin(), a.end(),
                     [&b](const std::string& one) { return b.contains(one); });
}

// What the registry refuses of what an object wants; null if nothing.
const KubeRefusal* RefusalOf(const KubeVerdict& verdict,
                             const KubeRefusals& refused) {
  for (const std::string& id : verdict.tenant_ids) {
    const auto it = refused.find({v1::KIND_TENANT, id});
    if (it != refused.end()) return &it->second;
  }
  if (verdict.access_id.empty()) return nullptr;
  const auto it = refused.find({v1::KIND_ACCESS, verdict.access_id});
  return it == refused.end() ? nullptr : &it->second;
}

// An object that lists tenants has no say over those of another source; a
// MetricAccess may well grant series to one.
std::string OwnedElsewhere(KubeKind kind, const KubeVerdict& verdict,
                           const std::map<std::string, std::string>& kept) {
  if (kind == KubeKind::kMetricAccess) return "";
  for (const std::string& id : verdict.tenant_ids) {
    const auto it = kept.find(id);
    if (it == kept.end()) continue;
    return absl::StrCat("Tenant/", id, " is kept by ", it->second,
                        ", not by kubernetes, and stays as it is; leave it out "
                        "here, or delete it there");
  }
  return "";
}

void Refuse(const std::string& reason, const std::string& message,
            KubeStatus* status) {
  for (KubeCondition& condition : status->conditions) {
    if (condition.type == kAccepted) {
      condition.status = "False";
      condition.reason = reason;
      condition.message = message;
    } else if (condition.type == kTenantReady && condition.status == "True" &&
               reason != "OwnedElsewhere") {
      condition.status = "False";
      condition.reason = "NotAccepted";
      condition.message = "see the condition Accepted";
    }
  }
}

}  // namespace

KubeWorld LookAt(const Registry& registry) {
  KubeWorld world;
  world.present.tenants = registry.ObjectsOf(v1::KIND_TENANT);
  world.present.accesses = registry.ObjectsOf(v1::KIND_ACCESS);
  world.policies = registry.ObjectsOf(v1::KIND_POLICY);
  world.present.keeps = [&registry](const std::string& source) {
    return registry.Keeps(source);
  };
  world.is_retired = [&registry](const StoreIdentity& identity,
                                 const std::string& uid) {
    return registry.IsRetired(identity, uid);
  };
  for (const ObjectPtr& tenant : world.present.tenants) {
    const std::string& source = tenant->meta().source();
    if (source != kKubernetesSource && registry.Keeps(source)) {
      world.kept_elsewhere[tenant->meta().id()] = source;
    }
  }
  return world;
}

KubePlan PlanOf(const std::map<KubeKey, KubeBook::Item>& items,
                const KubeWorld& world) {
  std::vector<const KubeDeclaration*> declarations;
  declarations.reserve(items.size());
  for (const auto& [key, item] : items) {
    declarations.push_back(item.declaration.get());
  }
  std::vector<const v1::Policy*> policies;
  for (const ObjectPtr& policy : world.policies) {
    policies.push_back(&policy->policy());
  }
  std::vector<const v1::Object*> others;
  for (const ObjectPtr& tenant : world.present.tenants) {
    if (world.kept_elsewhere.contains(tenant->meta().id())) {
      others.push_back(tenant.get());
    }
  }
  return PlanKubeObjects(declarations, policies, others);
}

std::set<std::string> KubeDeclarers::Follow(
    const std::map<KubeKey, KubeBook::Item>& items,
    const std::vector<KubeVerdict>& verdicts,
    const std::vector<ObjectPtr>& tenants) {
  std::map<std::string, std::set<std::string>> declarers;
  size_t i = 0;
  for (const auto& [key, item] : items) {
    for (const std::string& id : verdicts[i].tenant_ids) {
      declarers[id].insert(item.identity);
    }
    ++i;
  }
  std::map<std::string, std::string> again;
  std::set<std::string> ids;
  for (const ObjectPtr& tenant : tenants) {
    const std::string& id = tenant->meta().id();
    const auto now = declarers.find(id);
    if (now == declarers.end()) continue;
    const auto before = declarers_.find(id);
    const auto known = again_.find(id);
    if ((known != again_.end() && known->second == tenant->meta().uid()) ||
        (before != declarers_.end() && !Meet(before->second, now->second))) {
      again[id] = tenant->meta().uid();
      ids.insert(id);
    }
  }
  declarers_ = std::move(declarers);
  again_ = std::move(again);
  return ids;
}

std::map<KubeKey, KubeStatus> StatusesOf(
    const std::map<KubeKey, KubeBook::Item>& items,
    const KubeOutcome& outcome) {
  std::map<KubeKey, KubeStatus> statuses;
  size_t i = 0;
  for (const auto& [key, item] : items) {
    const KubeVerdict& verdict = outcome.plan.verdicts[i++];
    if (!item.present) continue;
    KubeStatus& status = statuses[key];
    status.uid = item.declaration->uid;
    status.generation = item.declaration->generation;
    status.conditions = verdict.conditions;
    status.validated_metrics = verdict.validated_metrics;
    if (!verdict.accepted) continue;  // The verdict says why.
    if (const KubeRefusal* refusal = RefusalOf(verdict, outcome.refused)) {
      Refuse(refusal->reason, refusal->message, &status);
      status.validated_metrics.clear();
    } else if (const std::string message =
                   OwnedElsewhere(key.first, verdict, outcome.kept_elsewhere);
               !message.empty()) {
      Refuse("OwnedElsewhere", message, &status);
    }
  }
  return statuses;
}

void Count(const std::map<KubeKey, KubeBook::Item>& items,
           const std::map<KubeKey, KubeStatus>& statuses,
           KubeMetrics* metrics) {
  std::map<KubeKind, int> objects;
  for (const auto& [key, item] : items) ++objects[key.first];
  for (const auto& [kind, gauge] : metrics->objects) gauge->Set(objects[kind]);
  std::map<std::string, int> refused;
  for (const auto& [key, status] : statuses) {
    for (const KubeCondition& condition : status.conditions) {
      if (condition.type != kAccepted || condition.status == "True") continue;
      const bool known = metrics->refused.contains(condition.reason);
      ++refused[known ? condition.reason : "Refused"];
    }
  }
  for (const auto& [reason, gauge] : metrics->refused) {
    gauge->Set(refused[reason]);
  }
}

}  // namespace insula::tenant_registry
