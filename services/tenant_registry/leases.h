// Who is alive: the leases of instances, and when each of them ends.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace insula::tenant_registry {

// Times are of a clock that never jumps. Not thread-safe.
class Leases {
 public:
  explicit Leases(absl::Duration ttl) : ttl_(ttl) {}

  // A lease lasts for ttl from now on. False: it has run out, and its object is
  // being deleted; try again in a moment.
  bool Renew(absl::string_view id, absl::Time now);
  // Forgets a lease.
  void End(absl::string_view id);
  bool Has(absl::string_view id) const { return ends_.contains(id); }

  // The leases that have run out, which become to be deleted until Deleted() is
  // called. To be called about once a second: if it was not for `kStandstill`,
  // the process stood still, nobody could renew, and all get that time again.
  std::vector<std::string> Expire(absl::Time now);
  void Deleted(absl::string_view id) { expiring_.erase(std::string(id)); }

  absl::Duration ttl() const { return ttl_; }
  size_t size() const { return ends_.size(); }

  static constexpr absl::Duration kStandstill = absl::Seconds(3);

 private:
  const absl::Duration ttl_;
  absl::Time looked_at_ = absl::InfiniteFuture();  // By Expire.
  absl::flat_hash_map<std::string, absl::Time> ends_;
  std::set<std::string> expiring_;
};

}  // namespace insula::tenant_registry
