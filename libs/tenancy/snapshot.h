// An immutable, indexed copy of the registry at one revision.
//
// Holders of a shared_ptr<const Snapshot> see one consistent state for as long
// as they like; a change makes a new Snapshot that shares all untouched shards
// with the old one, so it costs O(sqrt(n)), not O(n).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/tenancy/access.h"
#include "libs/tenancy/access_index.h"
#include "libs/tenancy/claims.h"
#include "libs/tenancy/fact.h"
#include "libs/tenancy/set_digest.h"
#include "libs/tenancy/sharded_map.h"
#include "libs/tenancy/tenant_id.h"

namespace insula::tenancy {

namespace v1 = ::insula::registry::v1;

// A tenant with its id parsed. `spec` holds what the registry says.
struct Tenant {
  TenantId id;
  std::string uid;  // 16 random bytes; caches and queues are keyed by it.
  v1::Tenant spec;
  int64_t mod_revision = 0;
  // What ReadPolicyOf() made last of this version of it without an Access.
  KeptReadPolicy own_reads = {};

  // Its name at a store that isolates by header.
  const std::string& org_id() const {
    return spec.org_id().empty() ? id.value() : spec.org_id();
  }
  bool may_read() const {
    return may_write() || spec.state() == v1::Tenant::STATE_READ_ONLY;
  }
  // Neither, in states that are not known.
  bool may_write() const {
    return spec.state() == v1::Tenant::STATE_UNSPECIFIED ||
           spec.state() == v1::Tenant::STATE_ACTIVE;
  }
};

// A binding, ready to use. There may be a million of them, so it is compact,
// and made for those that are most: of one tenant, without a claim rule.
struct Binding {
  // What most bindings don't have.
  struct Rare {
    std::string claim_rule_id;
    // A serialized v1::Binding of nothing but the fact; empty for facts that
    // are all in the key.
    std::string fact;
  };

  std::string id;
  absl::InlinedVector<TenantId, 1> tenant_ids;    // Sorted, no id twice.
  std::unique_ptr<const Rare> rare;               // Null: nothing.
  absl::Time not_after = absl::InfiniteFuture();  // Void from then on.
  uint16_t role_bits = 0;                         // 1 << v1::Role.
  bool every_tenant = false;
  FactKey fact_key;
  std::array<char, 16> uid = {};  // All zero: not set.
  int64_t mod_revision = 0;

  // Empty: none.
  absl::string_view claim_rule_id() const {
    return rare == nullptr ? absl::string_view() : rare->claim_rule_id;
  }
  // Sets the fact of `spec` to this binding's.
  void WriteFact(v1::Binding* spec) const;
  bool Has(v1::Role role) const { return (role_bits >> role & 1) != 0; }
  bool MayActFor(absl::string_view tenant_id) const;
};

struct Access {
  std::string id;
  std::string uid;
  v1::Access spec;
  int64_t mod_revision = 0;

  // What spec.selectors select.
  const std::vector<Clause>& clauses() const { return selectors.Get(spec); }
  LazySelectors selectors;
};

struct Upstream {
  std::string id;
  std::string uid;
  v1::Upstream spec;
  int64_t mod_revision = 0;
};

struct ClaimRule {
  std::string id;
  std::string uid;
  v1::ClaimRule spec;
  int64_t mod_revision = 0;

  // What `spec` says, ready to be asked.
  const Claims& claims() const { return lazy_claims.Get(spec); }
  LazyClaims lazy_claims;
};

// What Kubernetes objects of some namespaces may declare.
struct Policy {
  std::string id;
  std::string uid;
  v1::Policy spec;
  int64_t mod_revision = 0;
};

struct RuleTarget {
  std::string id;
  std::string uid;
  v1::RuleTarget spec;
  int64_t mod_revision = 0;
};

// A federation job.
struct Job {
  std::string id;
  std::string uid;
  v1::Job spec;
  int64_t mod_revision = 0;
};

struct Limits {
  std::string id;
  std::string uid;
  v1::Limits spec;       // As the registry has it: 0 stands for the default.
  v1::Limits effective;  // With the defaults in place; see LimitsOf().
  int64_t mod_revision = 0;
};

// A running process of a service.
struct Instance {
  std::string id;
  std::string uid;
  v1::Instance spec;
  int64_t mod_revision = 0;
};

class Snapshot {
 public:
  // An empty copy, of no revision.
  Snapshot() = default;

  int64_t revision() const { return revision_; }
  const std::string& epoch() const { return epoch_; }
  int64_t object_count() const;

  // Null if there is none. Pointers live as long as this snapshot.
  const Tenant* FindTenant(absl::string_view id) const;
  const Binding* FindBinding(absl::string_view id) const;
  const Binding* FindBindingByFact(const FactKey& key) const;
  // By the 32 bytes of the token's SHA-256.
  const Binding* FindBindingByToken(absl::string_view token_sha256) const;
  const Upstream* FindUpstream(absl::string_view id) const;
  // Those that speak of a tenant; null if there is none. See read_policy.h for
  // what they mean.
  const AccessGroup* FindAccesses(absl::string_view tenant_id) const;
  const ClaimRule* FindClaimRule(absl::string_view id) const;
  const Policy* FindPolicy(absl::string_view id) const;
  const RuleTarget* FindRuleTarget(absl::string_view id) const;
  const Job* FindJob(absl::string_view id) const;
  const Instance* FindInstance(absl::string_view id) const;

  // The same, to hold on to.
  std::shared_ptr<const Tenant> ShareTenant(absl::string_view id) const;
  std::shared_ptr<const Upstream> ShareUpstream(absl::string_view id) const;

  // All of a kind, unordered.
  void ForEachTenant(const std::function<void(const Tenant&)>& visit) const;
  void ForEachPolicy(const std::function<void(const Policy&)>& visit) const;
  void ForEachJob(const std::function<void(const Job&)>& visit) const;
  void ForEachInstance(const std::function<void(const Instance&)>& visit) const;

  // The limits of a tenant, with defaults in place of all zeros: samples are
  // unlimited if samples_per_second is 0 even so, and a samples_burst that is
  // not given is ten seconds' worth, as are the other bursts, and at least 1.
  // Numbers of series, and bytes of a queue or an answer, stay 0 for no limit
  // of the tenant's own. The defaults
  // throughout if limits_id is empty or names no object.
  const v1::Limits& LimitsOf(const Tenant& tenant) const;

  // Every object, unordered. For saving a snapshot. Of the meta data it has
  // kind, id, uid and mod_revision; the rest is the registry's own and is not
  // kept.
  void ForEachObject(const std::function<void(const v1::Object&)>& visit) const;

  // Of all objects.
  const SetDigest& digest() const { return digest_; }
  // The mod_revision of an object; -1 if there is none.
  int64_t RevisionOf(v1::Kind kind, absl::string_view id) const;

 private:
  friend class SnapshotBuilder;

  struct ById {
    template <typename T>
    absl::string_view operator()(const T& object) const {
      return object.id;
    }
    absl::string_view operator()(const Tenant& tenant) const {
      return tenant.id.value();
    }
  };
  struct ByFact {
    absl::string_view operator()(const Binding& binding) const {
      return binding.fact_key.view();
    }
  };
  template <typename T>
  using Map = ShardedMap<T, ById>;

  int64_t revision_ = 0;
  std::string epoch_;
  Map<Tenant> tenants_;
  Map<Binding> bindings_;
  ShardedMap<Binding, ByFact> bindings_by_fact_;
  Map<Access> accesses_;
  AccessIndex accesses_by_tenant_;
  Map<Upstream> upstreams_;
  Map<ClaimRule> claim_rules_;
  Map<Limits> limits_;
  Map<Policy> policies_;
  Map<RuleTarget> rule_targets_;
  Map<Job> jobs_;
  Map<Instance> instances_;
  SetDigest digest_;
};

// Makes the next snapshot from one. Not thread-safe.
class SnapshotBuilder {
 public:
  explicit SnapshotBuilder(const Snapshot& base);
  ~SnapshotBuilder();

  // Adds or replaces an object. INVALID_ARGUMENT says what is wrong with it;
  // the old copy, if any, stays. Kinds that are not known are skipped and OK.
  // A fact that another binding has goes over to the binding put last.
  absl::Status Put(const v1::Object& object);
  // The same of an object that CheckObject() has let pass before, and so
  // without the cost of it: the regular expressions of an Access may take 26
  // ms.
  void PutChecked(const v1::Object& object);
  void Delete(const v1::ObjectRef& ref);

  // Takes an object over from another snapshot, if it has it, in place of a
  // put.
  void Keep(const Snapshot& other, const v1::ObjectRef& ref);

  // How many puts were skipped because their kind is not known.
  int64_t skipped() const { return skipped_; }

  // What the result would have so far.
  const SetDigest& digest() const { return next_->digest(); }
  int64_t RevisionOf(v1::Kind kind, absl::string_view id) const {
    return next_->RevisionOf(kind, id);
  }

  // The result. The builder is used up.
  std::shared_ptr<const Snapshot> Build(int64_t revision,
                                        absl::string_view epoch) &&;

 private:
  friend class Snapshot;
  struct Editors;

  // Takes a present object out of the digest.
  void Forget(v1::Kind kind, absl::string_view id);
  void PutBinding(const v1::Object& object);
  void ReplaceBinding(std::shared_ptr<const Binding> binding);
  void DeleteBinding(absl::string_view id);
  void PutAccess(std::shared_ptr<const Access> access);
  void DeleteAccess(absl::string_view id);

  std::shared_ptr<Snapshot> next_;
  std::unique_ptr<Editors> editors_;
  int64_t skipped_ = 0;
};

// The name of a kind as in resource files: "Tenant", "ClaimRule". "" if
// unknown.
absl::string_view KindName(v1::Kind kind);
// KIND_UNSPECIFIED if unknown.
v1::Kind ParseKind(absl::string_view name);

// Checks an object by itself: id, spec of its kind, every field. The registry
// refuses what fails here; followers keep their old copy.
// INVALID_ARGUMENT: "Tenant/acme: spec.enforced_labels[a-b]: what, cure".
absl::Status CheckObject(const v1::Object& object);

}  // namespace insula::tenancy
