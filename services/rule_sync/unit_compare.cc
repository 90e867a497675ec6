#include "services/rule_sync/unit_compare.h"

#include <algorithm>

namespace insula::rule_sync {
namespace {

bool IsWanted(const DesiredUnit& desired, const GroupKey& key) {
  const auto it = desired.tenants.find(key.uid);
  if (it == desired.tenants.end()) return false;
  for (const auto& file : it->second.files) {
    if (file->stem != key.stem) continue;
    for (const CheckedGroup& group : file->checked.groups) {
      if (group.group.name == key.group) return true;
    }
  }
  return false;
}

bool Same(const DesiredTenant& a, const DesiredTenant& b) {
  return a.id == b.id && a.confinement == b.confinement &&
         a.complete == b.complete && a.files == b.files;
}

}  // namespace

size_t CountVanishing(const DesiredUnit& desired,
                      const std::set<GroupKey>& present) {
  return static_cast<size_t>(std::count_if(
      present.begin(), present.end(), [&desired](const GroupKey& key) {
        const auto tenant = desired.tenants.find(key.uid);
        return tenant != desired.tenants.end() && tenant->second.complete &&
               !IsWanted(desired, key);
      }));
}

int64_t CountGroups(const DesiredUnit& desired) {
  size_t count = 0;
  for (const auto& [uid, tenant] : desired.tenants) {
    for (const auto& file : tenant.files) count += file->checked.groups.size();
  }
  return static_cast<int64_t>(count);
}

bool Same(const DesiredUnit& a, const DesiredUnit& b) {
  return a.spec == b.spec && a.idle == b.idle &&
         std::equal(a.tenants.begin(), a.tenants.end(), b.tenants.begin(),
                    b.tenants.end(), [](const auto& x, const auto& y) {
                      return x.first == y.first && Same(x.second, y.second);
                    });
}

}  // namespace insula::rule_sync
