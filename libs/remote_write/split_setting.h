// A plan for the splitter and an oracle that follow the same rules, for tests.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libs/remote_write/split_oracle.h"
#include "libs/remote_write/splitter.h"

namespace insula::remote_write {

// Not copyable, as the plan points into it.
class SplitSetting {
 public:
  SplitSetting() {
    oracle.find = [this](const std::vector<std::string>& values) {
      return IdsOf(values);
    };
    plan.find =
        [this](absl::Span<const absl::string_view> values) -> const Routes& {
      return RoutesTo(IdsOf({values.begin(), values.end()}));
    };
  }
  SplitSetting(const SplitSetting&) = delete;
  SplitSetting& operator=(const SplitSetting&) = delete;

  void AddTenant(const std::string& id, const Oracle::Tenant& tenant) {
    oracle.tenants[id] = tenant;
    Destination& destination = destinations_[id];
    destination.name = id;
    destination.limits = tenant.limits;
    for (const auto& [name, value] : tenant.enforced) {
      destination.enforced_labels.push_back({name, value});
    }
  }

  // The values of `deciding` are ids of tenants: the first that is there, or
  // with `all` each. Series without one go to `defaults`.
  void Decide(const std::vector<std::string>& deciding, bool all,
              const std::set<std::string>& defaults) {
    oracle.deciding = plan.deciding_labels = deciding;
    all_ = all;
    defaults_ = defaults;
  }

  void Remove(const std::vector<std::string>& labels) {
    plan.removed_labels = labels;
    oracle.removed = {labels.begin(), labels.end()};
  }

  Oracle oracle;
  Plan plan;

 private:
  std::set<std::string> IdsOf(const std::vector<std::string>& values) const {
    std::set<std::string> ids;
    for (const std::string& value : values) {
      if (!value.empty() && (all_ || ids.empty())) ids.insert(value);
    }
    return ids.empty() ? defaults_ : ids;
  }

  const Routes& RoutesTo(const std::set<std::string>& ids) {
    const auto [it, added] = routes_.try_emplace(ids);
    for (const std::string& id : ids) {
      if (!added) break;
      Routes& routes = it->second;
      if (const auto at = destinations_.find(id); at != destinations_.end()) {
        routes.destinations.push_back(&at->second);
      } else if (routes.refused.empty()) {
        routes.refused.push_back(Reason::kTenantNotAllowed);
      }
    }
    return it->second;
  }

  bool all_ = false;
  std::set<std::string> defaults_;
  std::map<std::string, Destination> destinations_;
  std::map<std::set<std::string>, Routes> routes_;
};

}  // namespace insula::remote_write
