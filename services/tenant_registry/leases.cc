#include "services/tenant_registry/leases.h"

#include <algorithm>

namespace insula::tenant_registry {

bool Leases::Renew(absl::string_view id, absl::Time now) {
  if (expiring_.contains(std::string(id))) return false;
  ends_[id] = now + ttl_;
  return true;
}

void Leases::End(absl::string_view id) { ends_.erase(id); }

std::vector<std::string> Leases::Expire(absl::Time now) {
  const absl::Duration since = now - looked_at_;
  looked_at_ = now;
  const absl::Duration again =
      since > kStandstill ? since : absl::ZeroDuration();
  std::vector<std::string> ended;
  for (auto& [id, end] : ends_) {
    end += again;
    if (end <= now) ended.push_back(id);
  }
  std::sort(ended.begin(), ended.end());
  for (const std::string& id : ended) {
    ends_.erase(id);
    expiring_.insert(id);
  }
  return ended;
}

}  // namespace insula::tenant_registry
