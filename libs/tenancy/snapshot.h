// An immutable, indexed copy of the registry at one revision.
//
// Holders of a shared_ptr<const Snapshot> see one consistent state for as long
// as they like; a change makes a new Snapshot that shares all untouched shards
// with the old one, so it costs O(sqrt(n)), not O(n).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/tenancy/sharded_map.h"
#include "libs/tenancy/tenant_id.h"

namespace insula::tenancy {

namespace v1 = ::insula::registry::v1;

// A tenant with its id parsed. `spec` holds what the registry says.
struct Tenant {
  TenantId id;
  std::string uid;  // 16 random bytes; caches and queues are keyed by it.
  v1::Tenant spec;

  // Its name at a store that isolates by header.
  const std::string& org_id() const {
    return spec.org_id().empty() ? id.value() : spec.org_id();
  }
  bool may_read() const { return spec.state() != v1::Tenant::STATE_SUSPENDED; }
  bool may_write() const {
    return may_read() && spec.state() != v1::Tenant::STATE_READ_ONLY;
  }
};

// A binding, ready to use.
struct Binding {
  std::string id;
  std::vector<TenantId> tenant_ids;
  absl::flat_hash_set<std::string> tenant_set;  // The same ids, to look up.
  bool every_tenant = false;
  std::vector<v1::Role> roles;
  std::string claim_rule_id;
  absl::Time not_after = absl::InfiniteFuture();

  bool Has(v1::Role role) const;
  bool MayActFor(absl::string_view tenant_id) const {
    return every_tenant || tenant_set.contains(tenant_id);
  }
};

struct Upstream {
  std::string id;
  v1::Upstream spec;
};

struct ClaimRule {
  std::string id;
  v1::ClaimRule spec;
};

struct Limits {
  std::string id;
  v1::Limits spec;
};

class Snapshot {
 public:
  // An empty copy, of no revision.
  Snapshot();

  int64_t revision() const { return revision_; }
  const std::string& epoch() const { return epoch_; }
  int64_t object_count() const { return object_count_; }

  // Null if there is none. Pointers live as long as this snapshot.
  const Tenant* FindTenant(absl::string_view id) const;
  const Binding* FindBindingByToken(absl::string_view token_sha256) const;
  const Upstream* FindUpstream(absl::string_view id) const;
  const ClaimRule* FindClaimRule(absl::string_view id) const;
  // The defaults for "" and for an id that there is not.
  const v1::Limits& LimitsOf(const Tenant& tenant) const;

  // Every object, unordered. For saving a snapshot.
  void ForEachObject(const std::function<void(const v1::Object&)>& visit) const;

 private:
  friend class SnapshotBuilder;

  template <typename T>
  using Map = ShardedMap<std::shared_ptr<const T>>;

  int64_t revision_ = 0;
  std::string epoch_;
  int64_t object_count_ = 0;
  Map<Tenant> tenants_;
  Map<Upstream> upstreams_;
  Map<ClaimRule> claim_rules_;
  Map<Limits> limits_;
  Map<Binding> bindings_by_token_;
  // Every object by "KIND/id", to find what a put replaces and to save all.
  Map<v1::Object> objects_;
};

// Makes the next snapshot from one. Not thread-safe.
class SnapshotBuilder {
 public:
  explicit SnapshotBuilder(const Snapshot& base);
  ~SnapshotBuilder();

  // Adds or replaces an object. INVALID_ARGUMENT says what is wrong with it;
  // the old copy, if any, stays. Kinds that are not known are skipped and OK.
  absl::Status Put(const v1::Object& object);
  void Delete(const v1::ObjectRef& ref);

  // The result. The builder is used up.
  std::shared_ptr<const Snapshot> Build(int64_t revision,
                                        absl::string_view epoch) &&;

 private:
  std::shared_ptr<Snapshot> next_;
};

// The name of a kind as in resource files: "Tenant", "ClaimRule". "" if
// unknown.
absl::string_view KindName(v1::Kind kind);
// KIND_UNSPECIFIED if unknown.
v1::Kind ParseKind(absl::string_view name);

// Checks an object by itself: id, spec of its kind, every field. The registry
// refuses what fails here; followers keep their old copy.
// INVALID_ARGUMENT: "Tenant/acme: spec.enforced_labels: what, cure".
absl::Status CheckObject(const v1::Object& object);

}  // namespace insula::tenancy
