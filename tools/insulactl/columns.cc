#include "tools/insulactl/columns.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tools/insulactl/text.h"

namespace insula::insulactl {
namespace {

using Cells = std::vector<std::string>;

// The first few, and how many more there are.
template <typename Items>
std::string Some(const Items& items) {
  constexpr int kMost = 4;
  std::vector<std::string> shown;
  for (int i = 0; i < std::min(static_cast<int>(items.size()), kMost); ++i) {
    shown.push_back(items[i]);
  }
  if (static_cast<int>(items.size()) > kMost) {
    shown.push_back(absl::StrCat("and ", items.size() - kMost, " more"));
  }
  return absl::StrJoin(shown, ",");
}

std::string Labels(const google::protobuf::Map<std::string, std::string>& map) {
  const std::map<std::string, std::string> sorted(map.begin(), map.end());
  return absl::StrJoin(sorted, ",", absl::PairFormatter("="));
}

Cells HeaderOf(v1::Kind kind) {
  switch (kind) {
    case v1::KIND_TENANT:
      return {"STATE", "LABELS", "ORG-ID", "UPSTREAM", "RULE-TARGET", "LIMITS"};
    case v1::KIND_BINDING:
      return {"TENANTS", "ROLES", "CLAIM-RULE", "NOT-AFTER"};
    case v1::KIND_ACCESS:
      return {"TENANT", "SOURCES", "SELECTORS"};
    case v1::KIND_UPSTREAM:
      return {"ISOLATION", "WRITE", "QUERY"};
    case v1::KIND_CLAIM_RULE:
      return {"LABELS", "DEFAULT", "REMOVE"};
    case v1::KIND_LIMITS:
      return {"SAMPLES/S", "BURST", "LABELS"};
    case v1::KIND_POLICY:
      return {"NAMESPACES", "TENANT", "MORE-TENANTS"};
    case v1::KIND_RULE_TARGET:
      return {"TYPE", "ISOLATION", "URL"};
    case v1::KIND_JOB:
      return {"TENANT", "SOURCE", "INTERVAL"};
    case v1::KIND_INSTANCE:
      return {"SERVICE", "ADDRESS", "ZONE", "STARTED"};
    default:
      return {};
  }
}

std::string Number(double number) {
  return number == 0 ? "" : absl::StrCat(number);
}

Cells TenantCells(const v1::Tenant& tenant) {
  return {EnumWord(v1::Tenant::State_Name(tenant.state()), "STATE_", "ACTIVE"),
          Labels(tenant.enforced_labels()),
          tenant.org_id(),
          tenant.upstream_id(),
          tenant.rule_target_id(),
          tenant.limits_id()};
}

Cells BindingCells(const v1::Binding& binding) {
  return {binding.every_tenant() ? "every" : Some(binding.tenant_ids()),
          RoleWords(binding.roles()), binding.claim_rule_id(),
          binding.has_not_after() ? TimeText(binding.not_after()) : ""};
}

// What decides whose a series is: names of labels, and selectors.
std::vector<std::string> DecidingOf(const v1::ClaimRule& rule) {
  std::vector<std::string> all;
  if (!rule.label().empty()) all.push_back(rule.label());
  all.insert(all.end(), rule.labels().begin(), rule.labels().end());
  for (const auto& values : rule.values()) all.push_back(values.label());
  for (const auto& selection : rule.selections()) {
    all.push_back(selection.selector());
  }
  return all;
}

std::vector<std::string> DefaultsOf(const v1::ClaimRule& rule) {
  std::vector<std::string> all(rule.default_tenant_ids().begin(),
                               rule.default_tenant_ids().end());
  if (!rule.default_tenant_id().empty()) {
    all.insert(all.begin(), rule.default_tenant_id());
  }
  return all;
}

std::string Isolation(v1::Upstream::Isolation isolation) {
  return EnumWord(v1::Upstream::Isolation_Name(isolation), "ISOLATION_", "");
}

Cells CellsOf(const v1::Object& object) {
  switch (object.spec_case()) {
    case v1::Object::kTenant:
      return TenantCells(object.tenant());
    case v1::Object::kBinding:
      return BindingCells(object.binding());
    case v1::Object::kAccess:
      return {object.access().tenant_id(),
              object.access().every_source()
                  ? "every"
                  : Some(object.access().source_tenant_ids()),
              Some(object.access().selectors())};
    case v1::Object::kUpstream:
      return {Isolation(object.upstream().isolation()),
              object.upstream().write_url(), object.upstream().query_url()};
    case v1::Object::kClaimRule:
      return {Some(DecidingOf(object.claim_rule())),
              Some(DefaultsOf(object.claim_rule())),
              object.claim_rule().remove_label() ? "yes" : "no"};
    case v1::Object::kLimits:
      return {Number(object.limits().samples_per_second()),
              Number(object.limits().samples_burst()),
              Number(object.limits().max_label_names())};
    case v1::Object::kPolicy:
      return {Some(object.policy().namespaces()), object.policy().tenant_id(),
              object.policy().every_tenant()
                  ? "every"
                  : Some(object.policy().tenant_ids())};
    case v1::Object::kRuleTarget:
      return {EnumWord(v1::RuleTarget::Type_Name(object.rule_target().type()),
                       "TYPE_", ""),
              Isolation(object.rule_target().isolation()),
              object.rule_target().url()};
    case v1::Object::kJob:
      return {object.job().tenant_id(), object.job().source_url(),
              object.job().has_interval()
                  ? DurationText(object.job().interval())
                  : "30s"};
    case v1::Object::kInstance:
      return {object.instance().service(), object.instance().address(),
              object.instance().zone(),
              object.instance().has_started_at()
                  ? TimeText(object.instance().started_at())
                  : ""};
    default:
      return {};
  }
}

}  // namespace

Table TableOf(v1::Kind kind, const std::vector<v1::Object>& objects) {
  Cells header = HeaderOf(kind);
  header.insert(header.begin(), "ID");
  header.insert(header.end(), {"REVISION", "KEPT-BY"});
  const size_t columns = header.size();
  Table table(std::move(header));
  for (const v1::Object& object : objects) {
    Cells cells = CellsOf(object);
    cells.insert(cells.begin(), object.meta().id());
    cells.resize(columns - 2);
    cells.push_back(absl::StrCat(object.meta().mod_revision()));
    cells.push_back(object.meta().source());
    table.Add(std::move(cells));
  }
  return table;
}

}  // namespace insula::insulactl
