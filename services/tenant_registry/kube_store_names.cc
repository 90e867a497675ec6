#include "services/tenant_registry/kube_store_names.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/tenancy/tenant_id.h"
#include "services/tenant_registry/planner.h"
#include "services/tenant_registry/retired.h"

namespace insula::tenant_registry {
namespace {

constexpr size_t kMostShown = 10;

// The number of a tenant's name; 1 if it has one that was not given here.
int NumberOf(const v1::Object& tenant) {
  const std::string& org_id = tenant.tenant().org_id();
  const size_t mark = org_id.rfind('!');
  int number = 0;
  if (mark == std::string::npos ||
      !absl::SimpleAtoi(absl::string_view(org_id).substr(mark + 1), &number) ||
      number < 2 || StoreOrgId(tenant.meta().id(), number) != org_id) {
    return 1;
  }
  return number;
}

// The tenant as it is with that number.
v1::Object Named(const v1::Object& wanted, int number) {
  v1::Object named = wanted;
  if (number == 1) return named;
  const std::string& id = wanted.meta().id();
  named.mutable_tenant()->set_org_id(StoreOrgId(id, number));
  for (auto& [name, value] :
       *named.mutable_tenant()->mutable_enforced_labels()) {
    if (value == id) value = StoreLabelValue(id, number);
  }
  return named;
}

class Namer {
 public:
  Namer(const KubePresent& present, const std::set<std::string>& made_again,
        const IsRetired& is_retired)
      : made_again_(made_again), is_retired_(is_retired) {
    for (const ObjectPtr& tenant : present.tenants) {
      present_[tenant->meta().id()] = tenant.get();
      ids_.insert(tenant->meta().id());
      if (tenant->meta().source() == kKubernetesSource) {
        org_ids_.insert(OrgIdOf(*tenant));
      }
    }
  }

  std::map<std::string, int> Name(std::vector<v1::Object>* wanted) {
    for (const v1::Object& object : *wanted) {
      if (object.has_tenant()) ids_.insert(object.meta().id());
    }
    std::map<std::string, int> numbers;
    for (v1::Object& object : *wanted) {
      if (!object.has_tenant()) continue;
      const int number = Choose(object);
      if (number == 1) continue;
      numbers[object.meta().id()] = number;
      object = Named(object, number);
      org_ids_.insert(object.tenant().org_id());
    }
    return numbers;
  }

 private:
  static std::string OrgIdOf(const v1::Object& tenant) {
    return tenant.tenant().org_id().empty() ? tenant.meta().id()
                                            : tenant.tenant().org_id();
  }

  int Choose(const v1::Object& wanted) const {
    const std::string& id = wanted.meta().id();
    const auto it = present_.find(id);
    const v1::Object* const there = it == present_.end() ? nullptr : it->second;
    // One that another source kept until now goes on as it is.
    const bool goes_on = there != nullptr && !made_again_.contains(id) &&
                         there->tenant().state() != v1::Tenant::STATE_DELETING;
    int number = goes_on ? NumberOf(*there) : 1;
    // As most do, and there may be many.
    if (goes_on && number == 1 && IsNamedSo(wanted, *there)) return number;
    while (!MayHave(Named(wanted, number), number, there, goes_on)) ++number;
    return number;
  }

  bool MayHave(const v1::Object& named, int number, const v1::Object* there,
               bool goes_on) const {
    const std::set<StoreIdentity> before =
        there == nullptr ? std::set<StoreIdentity>() : FootprintOf(*there);
    const bool same_org_id =
        there != nullptr && OrgIdOf(*there) == OrgIdOf(named);
    if (!(goes_on && same_org_id) && IsTaken(named, number)) return false;
    const std::set<StoreIdentity> after = FootprintOf(named);
    return std::none_of(
        after.begin(), after.end(), [&](const StoreIdentity& identity) {
          // What it has is its own, whoever had it too.
          if (goes_on && before.contains(identity)) return false;
          if (!goes_on && OverlapsOne(identity, before)) return true;
          return is_retired_(identity, goes_on ? there->meta().uid() : "");
        });
  }

  static bool IsNamedSo(const v1::Object& wanted, const v1::Object& there) {
    const auto& before = there.tenant().enforced_labels();
    const auto& after = wanted.tenant().enforced_labels();
    return !there.tenant().upstream_id().empty() &&
           there.tenant().org_id().empty() && before.size() == after.size() &&
           std::all_of(after.begin(), after.end(), [&](const auto& label) {
             const auto it = before.find(label.first);
             return it != before.end() && it->second == label.second;
           });
  }

  static bool OverlapsOne(const StoreIdentity& identity,
                          const std::set<StoreIdentity>& others) {
    return std::any_of(
        others.begin(), others.end(),
        [&](const StoreIdentity& other) { return Overlap(identity, other); });
  }

  // By another tenant. The id alone is taken only by a name given here.
  bool IsTaken(const v1::Object& named, int number) const {
    const std::string org_id = OrgIdOf(named);
    if (number > 1) return ids_.contains(org_id) || org_ids_.contains(org_id);
    const auto own = present_.find(org_id);
    const bool is_own =
        own != present_.end() && OrgIdOf(*own->second) == org_id;
    return !is_own && org_ids_.contains(org_id);
  }

  const std::set<std::string>& made_again_;
  const IsRetired& is_retired_;
  std::map<std::string, const v1::Object*> present_;
  std::set<std::string> ids_;      // Of all tenants, present or wanted.
  std::set<std::string> org_ids_;  // Of the source "kubernetes".
};

// The label selectors of an access speak of tenants by their ids.
void Follow(const std::map<std::string, std::set<std::string>>& labels,
            const std::map<std::string, int>& numbers, v1::Object* object) {
  for (auto& [name, value] :
       *object->mutable_access()->mutable_label_selectors()) {
    const auto number = numbers.find(value);
    if (number == numbers.end() || !labels.at(value).contains(name)) continue;
    value = StoreLabelValue(number->first, number->second);
  }
}

}  // namespace

std::string StoreOrgId(const std::string& tenant_id, int number) {
  if (number == 1) return tenant_id;
  const std::string suffix = absl::StrCat("!", number);
  return absl::StrCat(
      tenant_id.substr(0, tenancy::TenantId::kMaxLength - suffix.size()),
      suffix);
}

std::string StoreLabelValue(const std::string& tenant_id, int number) {
  return number == 1 ? tenant_id : absl::StrCat(tenant_id, "~", number);
}

std::map<std::string, int> NameInStores(const KubePresent& present,
                                        const std::set<std::string>& made_again,
                                        const IsRetired& is_retired,
                                        std::vector<v1::Object>* wanted) {
  std::map<std::string, int> numbers =
      Namer(present, made_again, is_retired).Name(wanted);
  if (numbers.empty()) return numbers;
  // The names of the labels that tell them apart.
  std::map<std::string, std::set<std::string>> labels;
  for (const v1::Object& object : *wanted) {
    const auto it = numbers.find(object.meta().id());
    if (!object.has_tenant() || it == numbers.end()) continue;
    std::set<std::string>& names = labels[it->first];
    for (const auto& [name, value] : object.tenant().enforced_labels()) {
      if (value == StoreLabelValue(it->first, it->second)) names.insert(name);
    }
  }
  for (v1::Object& object : *wanted) {
    if (object.has_access()) Follow(labels, numbers, &object);
  }
  return numbers;
}

void TellStoreNames(const std::map<std::string, int>& numbers,
                    std::vector<KubeVerdict>* verdicts) {
  for (KubeVerdict& verdict : *verdicts) {
    std::string names;
    size_t count = 0;
    for (const std::string& id : verdict.tenant_ids) {
      const auto it = numbers.find(id);
      if (it == numbers.end() || ++count > kMostShown) continue;
      absl::StrAppend(&names, names.empty() ? "" : ", ", id, " as ",
                      StoreLabelValue(id, it->second));
    }
    if (count == 0) continue;
    for (KubeCondition& condition : verdict.conditions) {
      if (condition.type != "TenantReady") continue;
      absl::StrAppend(&condition.message,
                      "; kept apart in the store from former tenants: ", names,
                      count > kMostShown ? ", ..." : "");
    }
  }
}

}  // namespace insula::tenant_registry
