#include "services/rule_sync/desired.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "libs/http/url.h"
#include "libs/promql/clause_union.h"
#include "libs/rules/confine.h"
#include "libs/rules/write.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/endpoints.h"
#include "libs/tenancy/read_policy.h"

namespace insula::rule_sync {
namespace {

namespace v1 = ::insula::registry::v1;

absl::Status Refused(absl::string_view why) {
  return absl::FailedPreconditionError(why);
}

rules::Labels LabelsOf(const tenancy::Tenant& tenant) {
  const auto& labels = tenant.spec.enforced_labels();
  return rules::Labels(labels.begin(), labels.end());
}

// The target that evaluates the tenant's rules; why there is none otherwise.
absl::StatusOr<const tenancy::RuleTarget*> TargetOf(
    const tenancy::Snapshot& snapshot, const tenancy::Tenant& tenant,
    const CompilerOptions& options) {
  if (!tenant.may_read()) {
    return Refused("the tenant is suspended, and its rules with it");
  }
  const std::string& id = tenant.spec.rule_target_id();
  if (id.empty()) {
    return Refused("the tenant has no evaluator, set Tenant.rule_target_id");
  }
  const tenancy::RuleTarget* const target = snapshot.FindRuleTarget(id);
  if (target == nullptr) {
    return Refused(absl::StrCat("there is no RuleTarget ", id,
                                ", which Tenant.rule_target_id names"));
  }
  if (tenant.uid.size() != 16) {
    return Refused("the registry gives the tenant no uid, update the registry");
  }
  const v1::RuleTarget& spec = target->spec;
  const bool by_label = spec.isolation() == v1::Upstream::ISOLATION_LABEL;
  if (spec.type() == v1::RuleTarget::TYPE_PROMETHEUS) {
    if (!options.rule_files) {
      return Refused(absl::StrCat("RuleTarget ", id,
                                  " is a Prometheus, set rule_files.directory "
                                  "of rule-sync"));
    }
    if (!by_label) {
      return Refused(absl::StrCat("RuleTarget ", id,
                                  " is a Prometheus, which can isolate by "
                                  "label only, set RuleTarget.isolation"));
    }
  } else if (spec.type() != v1::RuleTarget::TYPE_CORTEX) {
    return Refused(absl::StrCat("RuleTarget ", id,
                                " is of a type that is not known here"));
  }
  if (!by_label && spec.isolation() != v1::Upstream::ISOLATION_HEADER) {
    return Refused(absl::StrCat("RuleTarget ", id,
                                " does not say how it isolates, set "
                                "RuleTarget.isolation"));
  }
  return target;
}

bool ReadsByAccess(const tenancy::Tenant& tenant) {
  switch (tenant.spec.read_scope()) {
    case v1::Tenant::READ_SCOPE_UNSPECIFIED:
    case v1::Tenant::READ_SCOPE_OWN:
      return false;
    default:  // One that is newer than this is not wider.
      return true;
  }
}

// What the tenant was granted, as it is told apart at `target`. The clauses are
// those for its upstream, and say nothing of labels if that isolates by header.
absl::StatusOr<promql::Clauses> GrantsOf(const tenancy::Snapshot& snapshot,
                                         const tenancy::Tenant& tenant,
                                         const tenancy::RuleTarget& target) {
  const tenancy::Upstream* const upstream =
      snapshot.FindUpstream(tenant.spec.upstream_id());
  if (upstream == nullptr ||
      upstream->spec.isolation() != target.spec.isolation()) {
    return Refused(absl::StrCat(
        "the tenant has READ_SCOPE_ACCESS, and what it was granted at its "
        "upstream '",
        tenant.spec.upstream_id(), "' can't be told apart at RuleTarget ",
        target.id,
        "; give it an upstream that isolates as the RuleTarget does, or "
        "READ_SCOPE_OWN"));
  }
  const auto policy = tenancy::ReadPolicyOf(snapshot, tenant);
  if (policy->reads_nothing()) {
    return Refused(absl::StrCat("the tenant can't read anything: ",
                                absl::StrJoin(policy->notes(), "; ")));
  }
  return policy->clauses();
}

UnitSpec SpecOf(const tenancy::RuleTarget& target,
                const tenancy::Tenant& tenant) {
  UnitSpec spec;
  spec.target_id = target.id;
  spec.url = target.spec.url();
  // One spelling for one place.
  if (const auto url = http::Url::Parse(spec.url); url.ok()) {
    spec.url = url->ToString();
  }
  while (absl::EndsWith(spec.url, "/")) spec.url.pop_back();
  spec.timeout = tenancy::TimeoutOf(target.spec);
  if (target.spec.type() == v1::RuleTarget::TYPE_PROMETHEUS) return spec;
  spec.type = UnitSpec::Type::kRuler;
  if (target.spec.isolation() == v1::Upstream::ISOLATION_HEADER) {
    spec.header = tenancy::TenantHeaderOf(target.spec);
    spec.org_id = tenant.org_id();
  }
  return spec;
}

DesiredFile Finish(const SourceFile& source, CheckedFile checked,
                   bool prometheus) {
  DesiredFile file;
  file.source = source.name;
  file.stem = source.stem;
  file.checked = std::move(checked);
  if (prometheus && !file.checked.groups.empty()) {
    std::vector<rules::Group> groups;
    for (const CheckedGroup& group : file.checked.groups) {
      groups.push_back(group.group);
    }
    file.text = rules::Write(groups);
  }
  return file;
}

}  // namespace

std::string UnitSpec::Id() const {
  if (type == Type::kPrometheus) return absl::StrCat("prometheus ", target_id);
  return absl::StrCat("ruler ", url, " ", header, " ", org_id);
}

absl::StatusOr<Treatment> TreatmentOf(const tenancy::Snapshot& snapshot,
                                      const tenancy::Tenant* tenant,
                                      const CompilerOptions& options) {
  Treatment treatment;
  treatment.max_bytes = options.max_file_bytes;
  treatment.dialect = options.rule_files_dialect;
  if (tenant == nullptr) return treatment;
  ASSIGN_OR_RETURN(const tenancy::RuleTarget* const target,
                   TargetOf(snapshot, *tenant, options));
  if (target->spec.type() == v1::RuleTarget::TYPE_CORTEX) {
    treatment.dialect = options.rulers_dialect;
  }
  const bool by_label =
      target->spec.isolation() == v1::Upstream::ISOLATION_LABEL;
  rules::Confinement confinement;
  if (by_label) {
    absl::StatusOr<rules::Confinement> own =
        rules::ConfinementTo(LabelsOf(*tenant));
    if (!own.ok()) {
      return Refused(absl::StrCat("RuleTarget ", target->id,
                                  " isolates by label, set "
                                  "Tenant.enforced_labels: ",
                                  own.status().message()));
    }
    confinement = *std::move(own);
  }
  if (!ReadsByAccess(*tenant)) {
    if (by_label) treatment.confinement = std::move(confinement);
    return treatment;
  }
  ASSIGN_OR_RETURN(confinement.reads, GrantsOf(snapshot, *tenant, *target));
  treatment.confinement = std::move(confinement);
  return treatment;
}

std::shared_ptr<const Desired> Compiler::Compile(
    const tenancy::Snapshot& snapshot, const SourceView& view) {
  // In the order of ids, so that of two tenants that want one ruler tenant the
  // same one gets it each time.
  std::vector<const tenancy::Tenant*> tenants;
  snapshot.ForEachTenant([&tenants](const tenancy::Tenant& tenant) {
    tenants.push_back(&tenant);
  });
  std::sort(tenants.begin(), tenants.end(),
            [](const tenancy::Tenant* a, const tenancy::Tenant* b) {
              return a->id < b->id;
            });
  auto desired = std::make_shared<Desired>();
  std::map<std::string, DesiredUnit> units;
  Cache next;
  for (const tenancy::Tenant* const tenant : tenants) {
    const auto it = view.tenants.find(tenant->id.value());
    // What was read for another tenant of the id is not this one's.
    const bool its_own =
        it != view.tenants.end() && it->second.uid == tenant->uid;
    Add(snapshot, *tenant, its_own ? &it->second : nullptr, desired.get(),
        &units, &next);
  }
  for (auto& [id, unit] : units) {
    desired->units[id] = std::make_shared<const DesiredUnit>(std::move(unit));
  }
  cache_ = std::move(next);
  return desired;
}

void Compiler::Add(const tenancy::Snapshot& snapshot,
                   const tenancy::Tenant& tenant, const SourceTenant* source,
                   Desired* desired, std::map<std::string, DesiredUnit>* units,
                   Cache* next) {
  absl::StatusOr<Treatment> treatment =
      TreatmentOf(snapshot, &tenant, options_);
  TenantRules rules;
  rules.uid = tenant.uid;
  rules.target_id = tenant.spec.rule_target_id();
  DesiredUnit* unit = nullptr;
  if (treatment.ok()) {
    UnitSpec spec = SpecOf(*snapshot.FindRuleTarget(rules.target_id), tenant);
    const std::string unit_id = spec.Id();
    unit = &(*units)[unit_id];
    if (!unit->tenants.empty() && !spec.header.empty()) {
      treatment = Refused(absl::StrCat(
          "tenant ", unit->tenants.begin()->second.id,
          " has the same org id at the same evaluator, set Tenant.org_id"));
      unit = nullptr;
    } else {
      unit->spec = std::move(spec);
      rules.unit_id = unit_id;
    }
  }
  if (unit == nullptr && source == nullptr) return;

  const bool prometheus =
      unit != nullptr && unit->spec.type == UnitSpec::Type::kPrometheus;
  if (source != nullptr) {
    for (const SourceFile& file : source->files) {
      if (unit != nullptr) {
        rules.files.push_back(
            Check(tenant.id.value(), file, prometheus, *treatment, next));
      } else {
        rules.files.push_back(std::make_shared<const DesiredFile>(
            Finish(file, RefusedFile(treatment.status().message()), false)));
      }
    }
  }
  if (unit != nullptr) {
    DesiredTenant& wanted = unit->tenants[tenant.uid];
    wanted.id = tenant.id.value();
    wanted.uid = tenant.uid;
    wanted.confinement = std::move(treatment->confinement);
    wanted.complete = source == nullptr || source->complete;
    wanted.files = rules.files;
    if (prometheus || source != nullptr) unit->idle = false;
  }
  desired->tenants[tenant.id.value()] = std::move(rules);
}

std::shared_ptr<const DesiredFile> Compiler::Check(const std::string& tenant_id,
                                                   const SourceFile& source,
                                                   bool prometheus,
                                                   const Treatment& treatment,
                                                   Cache* next) {
  const std::pair<std::string, std::string> key(tenant_id, source.name);
  Checked& checked = (*next)[key];
  if (const auto it = cache_.find(key); it != cache_.end()) {
    const Checked& before = it->second;
    if (before.text == source.text && before.error == source.error &&
        before.prometheus == prometheus &&
        before.confinement == treatment.confinement) {
      checked = before;
      return checked.file;
    }
  }
  checked.text = source.text;
  checked.error = source.error;
  checked.prometheus = prometheus;
  checked.confinement = treatment.confinement;
  checked.file = std::make_shared<const DesiredFile>(
      Finish(source,
             source.text == nullptr ? RefusedFile(source.error)
                                    : CheckRuleFile(*source.text, treatment),
             prometheus));
  return checked.file;
}

}  // namespace insula::rule_sync
