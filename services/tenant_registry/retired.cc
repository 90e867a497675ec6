#include "services/tenant_registry/retired.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace insula::tenant_registry {
namespace {

StoreIdentity OrgIdOf(const v1::Object& tenant) {
  StoreIdentity identity;
  identity.org_id = tenant.tenant().org_id().empty() ? tenant.meta().id()
                                                     : tenant.tenant().org_id();
  return identity;
}

StoreIdentity LabelsOf(const v1::Object& tenant) {
  StoreIdentity identity;
  const auto& labels = tenant.tenant().enforced_labels();
  identity.labels.insert(labels.begin(), labels.end());
  return identity;
}

std::vector<std::string> NamesOf(const StoreIdentity& identity) {
  std::vector<std::string> names;
  names.reserve(identity.labels.size());
  for (const auto& [name, value] : identity.labels) names.push_back(name);
  return names;
}

}  // namespace

std::set<StoreIdentity> FootprintOf(const v1::Object& tenant) {
  std::set<StoreIdentity> identities;
  if (tenant.tenant().upstream_id().empty() &&
      tenant.tenant().rule_target_id().empty()) {
    return identities;
  }
  identities.insert(OrgIdOf(tenant));
  if (!tenant.tenant().enforced_labels().empty()) {
    identities.insert(LabelsOf(tenant));
  }
  return identities;
}

std::set<StoreIdentity> UsedBy(const v1::Object& tenant,
                               resources::FindObject find) {
  bool by_label = false;
  bool by_header = false;
  const auto add = [&](v1::Upstream::Isolation isolation) {
    (isolation == v1::Upstream::ISOLATION_LABEL ? by_label : by_header) = true;
  };
  const v1::Tenant& spec = tenant.tenant();
  if (!spec.upstream_id().empty()) {
    const v1::Object* const upstream =
        find({v1::KIND_UPSTREAM, spec.upstream_id()});
    if (upstream != nullptr) add(upstream->upstream().isolation());
  }
  if (!spec.rule_target_id().empty()) {
    const v1::Object* const target =
        find({v1::KIND_RULE_TARGET, spec.rule_target_id()});
    if (target != nullptr) add(target->rule_target().isolation());
  }
  std::set<StoreIdentity> identities;
  if (by_header) identities.insert(OrgIdOf(tenant));
  if (by_label && !spec.enforced_labels().empty()) {
    identities.insert(LabelsOf(tenant));
  }
  return identities;
}

bool Overlap(const StoreIdentity& a, const StoreIdentity& b) {
  if (!a.org_id.empty() || !b.org_id.empty()) return a.org_id == b.org_id;
  bool shared = false;
  for (const auto& [name, value] : a.labels) {
    const auto other = b.labels.find(name);
    if (other == b.labels.end()) continue;
    if (other->second != value) return false;
    shared = true;
  }
  return shared;
}

std::string Show(const StoreIdentity& identity) {
  if (!identity.org_id.empty()) {
    return absl::StrCat("spec.org_id '", identity.org_id, "'");
  }
  return absl::StrCat("spec.enforced_labels {",
                      absl::StrJoin(identity.labels, ",",
                                    [](std::string* out, const auto& label) {
                                      absl::StrAppend(
                                          out, label.first, "=\"",
                                          absl::Utf8SafeCEscape(label.second),
                                          "\"");
                                    }),
                      "}");
}

void RetiredIdentities::Take(const Retirement& retirement) {
  const auto it = all_.find(retirement.identity);
  if (!retirement.former.has_value()) {
    if (it != all_.end()) Remove(it);
    return;
  }
  if (it != all_.end()) {
    it->second = *retirement.former;
    return;
  }
  const auto [made, ignored] =
      all_.emplace(retirement.identity, *retirement.former);
  Index(made->first);
}

void RetiredIdentities::Index(const StoreIdentity& identity) {
  if (identity.labels.empty()) return;
  Group& group = groups_[NamesOf(identity)];
  for (const auto& label : identity.labels) {
    group[{label.first, label.second}].insert(&identity);
  }
}

RetiredIdentities::All::iterator RetiredIdentities::Remove(All::iterator it) {
  const StoreIdentity& identity = it->first;
  const auto group = groups_.find(NamesOf(identity));
  if (!identity.labels.empty() && group != groups_.end()) {
    for (const auto& label : identity.labels) {
      const auto pair = group->second.find({label.first, label.second});
      pair->second.erase(&identity);
      if (pair->second.empty()) group->second.erase(pair);
    }
    if (group->second.empty()) groups_.erase(group);
  }
  return all_.erase(it);
}

void RetiredIdentities::ForEachOverlap(const StoreIdentity& wanted,
                                       Visit visit) const {
  if (wanted.org_id.empty()) {
    ForEachLabelOverlap(wanted, visit);
    return;
  }
  const auto it = all_.find(wanted);
  if (it != all_.end()) visit(it->first, it->second);
}

void RetiredIdentities::ForEachLabelOverlap(const StoreIdentity& wanted,
                                            Visit visit) const {
  for (const auto& [names, group] : groups_) {
    // Whoever overlaps has every pair whose name is shared, so the fewest that
    // have one of them are enough.
    const Candidates* fewest = nullptr;
    bool possible = true;
    for (const std::string& name : names) {
      const auto label = wanted.labels.find(name);
      if (label == wanted.labels.end()) continue;
      const auto pair = group.find({label->first, label->second});
      if (pair == group.end()) {
        possible = false;
        break;
      }
      if (fewest == nullptr || pair->second.size() < fewest->size()) {
        fewest = &pair->second;
      }
    }
    if (!possible || fewest == nullptr) continue;
    for (const StoreIdentity* const identity : *fewest) {
      if (Overlap(wanted, *identity)) visit(*identity, all_.at(*identity));
    }
  }
}

absl::Time RetiredIdentities::ForgetUntil(absl::Time oldest,
                                          size_t most) const {
  std::vector<absl::Time> times;
  times.reserve(all_.size());
  absl::Time until = absl::InfinitePast();
  for (const auto& [identity, former] : all_) {
    times.push_back(former.at);
    if (former.at < oldest) until = std::max(until, former.at);
  }
  if (times.size() <= most) return until;
  const auto last =
      times.begin() + static_cast<ptrdiff_t>(times.size() - most - 1);
  std::nth_element(times.begin(), last, times.end());
  return std::max(until, *last);
}

void RetiredIdentities::Forget(absl::Time until) {
  for (auto it = all_.begin(); it != all_.end();) {
    it = it->second.at <= until ? Remove(it) : std::next(it);
  }
}

}  // namespace insula::tenant_registry
