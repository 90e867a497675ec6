#include "libs/tenancy/read_policy.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/sync/mutex.h"
#include "libs/tenancy/read_policy_compiler.h"

namespace insula::tenancy {

// Unambiguous: each value stands behind its length.
std::string ReadPolicy::Join(const std::vector<absl::string_view>& values) {
  std::string joined;
  for (const absl::string_view value : values) {
    absl::StrAppend(&joined, value.size(), ":", value);
  }
  return joined;
}

bool ReadPolicy::Grants(const Grant& grant, LabelValue label) {
  for (const auto& [name, value] : grant.label_selectors) {
    if (label(name) != value) return false;
  }
  const bool of_a_source =
      grant.every_source ||
      std::any_of(grant.sources.begin(), grant.sources.end(),
                  [label](const Sources& sources) {
                    std::vector<absl::string_view> values;
                    for (const std::string& name : sources.names) {
                      values.push_back(label(name));
                    }
                    return std::binary_search(sources.values.begin(),
                                              sources.values.end(),
                                              Join(values));
                  });
  if (!of_a_source) return false;
  const std::vector<Clause>& clauses = grant.access->clauses();
  return std::any_of(clauses.begin(), clauses.end(), [label](const auto& c) {
    return std::all_of(c.begin(), c.end(), [label](const auto& matcher) {
      return matcher.Matches(label(matcher.name()));
    });
  });
}

bool ReadPolicy::Allows(LabelValue label) const {
  if (reads_own_ && std::all_of(own_.begin(), own_.end(), [label](auto& own) {
        return label(own.first) == own.second;
      })) {
    return true;
  }
  return std::any_of(
      grants_.begin(), grants_.end(),
      [label](const Grant& grant) { return Grants(grant, label); });
}

bool ReadPolicy::AllowsValue(absl::string_view name,
                             absl::string_view value) const {
  return std::any_of(
      clauses_.begin(), clauses_.end(), [name, value](const Clause& clause) {
        return std::all_of(
            clause.begin(), clause.end(), [name, value](const auto& matcher) {
              return matcher.name() != name || matcher.Matches(value);
            });
      });
}

bool ReadPolicy::IsCurrent(const Snapshot& snapshot) const {
  return snapshot.FindUpstream(upstream_id_) == upstream_.get() &&
         std::all_of(tenants_.begin(), tenants_.end(), [&](const auto& known) {
           return snapshot.FindTenant(known.first) == known.second.get();
         });
}

std::shared_ptr<const ReadPolicy> ReadPolicyOf(const Snapshot& snapshot,
                                               const Tenant& tenant) {
  const AccessGroup* const group = snapshot.FindAccesses(tenant.id.value());
  const KeptReadPolicy& kept =
      group == nullptr ? tenant.own_reads : group->reads;
  // Callers wait for one who compiles, which takes as long as the expressions
  // of a tenant's accesses do.
  sync::MutexLock lock(&kept.mutex);
  if (kept.policy == nullptr || !kept.policy->IsCurrent(snapshot)) {
    ReadPolicyCompiler compiler(snapshot, tenant);
    kept.policy = group == nullptr ? compiler.CompileOwn()
                                   : compiler.Compile(group->accesses);
  }
  return kept.policy;
}

}  // namespace insula::tenancy
