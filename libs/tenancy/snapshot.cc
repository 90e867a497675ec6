#include "libs/tenancy/snapshot.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "libs/status/status_macros.h"

namespace insula::tenancy {
namespace {

absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) +
         absl::Nanoseconds(timestamp.nanos());
}

template <size_t N>
std::array<char, N> ToArray(const std::string& bytes) {
  std::array<char, N> array = {};
  std::copy_n(bytes.begin(), std::min(N, bytes.size()), array.begin());
  return array;
}

// The fact, serialized, if its key does not hold all of it.
std::string FactBeyondItsKey(const v1::Binding& spec) {
  if (spec.fact_case() == v1::Binding::kTokenSha256 ||
      spec.fact_case() == v1::Binding::kApiKeySha256) {
    return "";
  }
  v1::Binding fact = spec;
  fact.clear_tenant_ids();
  fact.clear_every_tenant();
  fact.clear_roles();
  fact.clear_claim_rule_id();
  fact.clear_not_after();
  return fact.SerializeAsString();
}

v1::Limits WithDefaults(v1::Limits limits) {
  if (limits.max_label_names() == 0) limits.set_max_label_names(30);
  if (limits.max_label_name_bytes() == 0) limits.set_max_label_name_bytes(1024);
  if (limits.max_label_value_bytes() == 0) {
    limits.set_max_label_value_bytes(2048);
  }
  if (limits.samples_burst() == 0) {
    limits.set_samples_burst(10 * limits.samples_per_second());
  }
  if (limits.write_requests_burst() == 0 &&
      limits.write_requests_per_second() > 0) {
    limits.set_write_requests_burst(
        std::max(1.0, 10 * limits.write_requests_per_second()));
  }
  if (limits.write_bytes_burst() == 0) {
    limits.set_write_bytes_burst(10 * limits.write_bytes_per_second());
  }
  if (limits.max_query_bytes() == 0) limits.set_max_query_bytes(256 << 10);
  if (limits.max_concurrent_queries() == 0) {
    limits.set_max_concurrent_queries(20);
  }
  if (limits.max_queued_queries() == 0) limits.set_max_queued_queries(100);
  if (limits.max_query_steps() == 0) limits.set_max_query_steps(11'001);
  if (limits.max_query_selectors() == 0) limits.set_max_query_selectors(256);
  return limits;
}

void SetMeta(v1::Object* object, v1::Kind kind, absl::string_view id,
             const std::string& uid, int64_t mod_revision) {
  v1::Meta* meta = object->mutable_meta();
  meta->set_kind(kind);
  meta->set_id(id.data(), id.size());
  meta->set_uid(uid);
  meta->set_mod_revision(mod_revision);
}

// Every field is set, so that one object serves for many bindings.
void ToObject(const Binding& binding, v1::Object* object) {
  std::string uid(binding.uid.begin(), binding.uid.end());
  if (binding.uid == std::array<char, 16>{}) uid.clear();
  SetMeta(object, v1::KIND_BINDING, binding.id, uid, binding.mod_revision);
  v1::Binding* spec = object->mutable_binding();
  binding.WriteFact(spec);
  spec->clear_tenant_ids();
  for (const TenantId& id : binding.tenant_ids) {
    spec->add_tenant_ids(id.value());
  }
  spec->set_every_tenant(binding.every_tenant);
  spec->clear_roles();
  for (int role = v1::Role_MIN; role <= v1::Role_MAX; ++role) {
    if (binding.Has(static_cast<v1::Role>(role))) {
      spec->add_roles(static_cast<v1::Role>(role));
    }
  }
  spec->set_claim_rule_id(binding.claim_rule_id().data(),
                          binding.claim_rule_id().size());
  spec->clear_not_after();
  if (binding.not_after != absl::InfiniteFuture()) {
    const int64_t seconds = absl::ToUnixSeconds(binding.not_after);
    spec->mutable_not_after()->set_seconds(seconds);
    spec->mutable_not_after()->set_nanos(
        static_cast<int32_t>(absl::ToInt64Nanoseconds(
            binding.not_after - absl::FromUnixSeconds(seconds))));
  }
}

// A value of the kinds that are kept as id, uid and spec.
template <typename T, typename Spec>
std::shared_ptr<const T> Make(const v1::Meta& meta, const Spec& spec) {
  auto kept = std::make_shared<T>();
  kept->id = meta.id();
  kept->uid = meta.uid();
  kept->spec = spec;
  kept->mod_revision = meta.mod_revision();
  return kept;
}

}  // namespace

// A million of them, and a copy a follower holds: see docs/performance.md.
static_assert(sizeof(Binding) <= 160, "a binding has grown");

void Binding::WriteFact(v1::Binding* spec) const {
  spec->clear_fact();
  switch (fact_key.fact_case()) {
    case v1::Binding::kTokenSha256:
      spec->set_token_sha256(std::string(fact_key.digest()));
      return;
    case v1::Binding::kApiKeySha256:
      spec->set_api_key_sha256(std::string(fact_key.digest()));
      return;
    default:
      break;
  }
  // Our own bytes, which can't fail; a binding without fact is no harm anyway.
  v1::Binding fact;
  if (rare != nullptr && fact.ParseFromString(rare->fact)) {
    spec->MergeFrom(fact);
  }
}

bool Binding::MayActFor(absl::string_view tenant_id) const {
  if (every_tenant) return true;
  const auto at =
      std::lower_bound(tenant_ids.begin(), tenant_ids.end(), tenant_id,
                       [](const TenantId& tenant, absl::string_view wanted) {
                         return tenant.value() < wanted;
                       });
  return at != tenant_ids.end() && at->value() == tenant_id;
}

int64_t Snapshot::object_count() const {
  return static_cast<int64_t>(tenants_.size() + bindings_.size() +
                              accesses_.size() + upstreams_.size() +
                              claim_rules_.size() + limits_.size() +
                              policies_.size() + rule_targets_.size() +
                              jobs_.size() + instances_.size());
}

const Tenant* Snapshot::FindTenant(absl::string_view id) const {
  return tenants_.Find(id);
}
const Binding* Snapshot::FindBinding(absl::string_view id) const {
  return bindings_.Find(id);
}
const Binding* Snapshot::FindBindingByFact(const FactKey& key) const {
  // What no fact stands for is nobody's.
  return key.empty() ? nullptr : bindings_by_fact_.Find(key.view());
}
const Binding* Snapshot::FindBindingByToken(
    absl::string_view token_sha256) const {
  return FindBindingByFact(TokenKey(token_sha256));
}
const Upstream* Snapshot::FindUpstream(absl::string_view id) const {
  return upstreams_.Find(id);
}
const AccessGroup* Snapshot::FindAccesses(absl::string_view tenant_id) const {
  return accesses_by_tenant_.Find(tenant_id);
}
std::shared_ptr<const Tenant> Snapshot::ShareTenant(
    absl::string_view id) const {
  return tenants_.FindShared(id);
}
std::shared_ptr<const Upstream> Snapshot::ShareUpstream(
    absl::string_view id) const {
  return upstreams_.FindShared(id);
}
const ClaimRule* Snapshot::FindClaimRule(absl::string_view id) const {
  return claim_rules_.Find(id);
}
const Policy* Snapshot::FindPolicy(absl::string_view id) const {
  return policies_.Find(id);
}
const RuleTarget* Snapshot::FindRuleTarget(absl::string_view id) const {
  return rule_targets_.Find(id);
}
const Job* Snapshot::FindJob(absl::string_view id) const {
  return jobs_.Find(id);
}
const Instance* Snapshot::FindInstance(absl::string_view id) const {
  return instances_.Find(id);
}

void Snapshot::ForEachTenant(
    const std::function<void(const Tenant&)>& visit) const {
  tenants_.ForEach(visit);
}
void Snapshot::ForEachPolicy(
    const std::function<void(const Policy&)>& visit) const {
  policies_.ForEach(visit);
}
void Snapshot::ForEachJob(const std::function<void(const Job&)>& visit) const {
  jobs_.ForEach(visit);
}
void Snapshot::ForEachInstance(
    const std::function<void(const Instance&)>& visit) const {
  instances_.ForEach(visit);
}

const v1::Limits& Snapshot::LimitsOf(const Tenant& tenant) const {
  static const v1::Limits& defaults =
      *new v1::Limits(WithDefaults(v1::Limits()));
  const Limits* limits = limits_.Find(tenant.spec.limits_id());
  return limits == nullptr ? defaults : limits->effective;
}

void Snapshot::ForEachObject(
    const std::function<void(const v1::Object&)>& visit) const {
  tenants_.ForEach([&visit](const Tenant& tenant) {
    v1::Object object;
    SetMeta(&object, v1::KIND_TENANT, tenant.id.value(), tenant.uid,
            tenant.mod_revision);
    *object.mutable_tenant() = tenant.spec;
    visit(object);
  });
  v1::Object of_binding;
  bindings_.ForEach([&visit, &of_binding](const Binding& binding) {
    ToObject(binding, &of_binding);
    visit(of_binding);
  });
  accesses_.ForEach([&visit](const Access& access) {
    v1::Object object;
    SetMeta(&object, v1::KIND_ACCESS, access.id, access.uid,
            access.mod_revision);
    *object.mutable_access() = access.spec;
    visit(object);
  });
  upstreams_.ForEach([&visit](const Upstream& upstream) {
    v1::Object object;
    SetMeta(&object, v1::KIND_UPSTREAM, upstream.id, upstream.uid,
            upstream.mod_revision);
    *object.mutable_upstream() = upstream.spec;
    visit(object);
  });
  claim_rules_.ForEach([&visit](const ClaimRule& rule) {
    v1::Object object;
    SetMeta(&object, v1::KIND_CLAIM_RULE, rule.id, rule.uid, rule.mod_revision);
    *object.mutable_claim_rule() = rule.spec;
    visit(object);
  });
  limits_.ForEach([&visit](const Limits& limits) {
    v1::Object object;
    SetMeta(&object, v1::KIND_LIMITS, limits.id, limits.uid,
            limits.mod_revision);
    *object.mutable_limits() = limits.spec;
    visit(object);
  });
  policies_.ForEach([&visit](const Policy& policy) {
    v1::Object object;
    SetMeta(&object, v1::KIND_POLICY, policy.id, policy.uid,
            policy.mod_revision);
    *object.mutable_policy() = policy.spec;
    visit(object);
  });
  rule_targets_.ForEach([&visit](const RuleTarget& target) {
    v1::Object object;
    SetMeta(&object, v1::KIND_RULE_TARGET, target.id, target.uid,
            target.mod_revision);
    *object.mutable_rule_target() = target.spec;
    visit(object);
  });
  jobs_.ForEach([&visit](const Job& job) {
    v1::Object object;
    SetMeta(&object, v1::KIND_JOB, job.id, job.uid, job.mod_revision);
    *object.mutable_job() = job.spec;
    visit(object);
  });
  instances_.ForEach([&visit](const Instance& instance) {
    v1::Object object;
    SetMeta(&object, v1::KIND_INSTANCE, instance.id, instance.uid,
            instance.mod_revision);
    *object.mutable_instance() = instance.spec;
    visit(object);
  });
}

struct SnapshotBuilder::Editors {
  explicit Editors(Snapshot* next)
      : tenants(&next->tenants_),
        bindings(&next->bindings_),
        bindings_by_fact(&next->bindings_by_fact_),
        accesses(&next->accesses_),
        accesses_by_tenant(&next->accesses_by_tenant_),
        upstreams(&next->upstreams_),
        claim_rules(&next->claim_rules_),
        limits(&next->limits_),
        policies(&next->policies_),
        rule_targets(&next->rule_targets_),
        jobs(&next->jobs_),
        instances(&next->instances_) {}

  // Calls `visit` with the map and the editor of a kind, if it is known.
  template <typename Visit>
  static void ForKind(v1::Kind kind, const Visit& visit) {
    switch (kind) {
      case v1::KIND_TENANT:
        return visit(&Snapshot::tenants_, &Editors::tenants);
      case v1::KIND_BINDING:
        return visit(&Snapshot::bindings_, &Editors::bindings);
      case v1::KIND_ACCESS:
        return visit(&Snapshot::accesses_, &Editors::accesses);
      case v1::KIND_UPSTREAM:
        return visit(&Snapshot::upstreams_, &Editors::upstreams);
      case v1::KIND_CLAIM_RULE:
        return visit(&Snapshot::claim_rules_, &Editors::claim_rules);
      case v1::KIND_LIMITS:
        return visit(&Snapshot::limits_, &Editors::limits);
      case v1::KIND_POLICY:
        return visit(&Snapshot::policies_, &Editors::policies);
      case v1::KIND_RULE_TARGET:
        return visit(&Snapshot::rule_targets_, &Editors::rule_targets);
      case v1::KIND_JOB:
        return visit(&Snapshot::jobs_, &Editors::jobs);
      case v1::KIND_INSTANCE:
        return visit(&Snapshot::instances_, &Editors::instances);
      default:
        return;
    }
  }

  Snapshot::Map<Tenant>::Editor tenants;
  Snapshot::Map<Binding>::Editor bindings;
  ShardedMap<Binding, Snapshot::ByFact>::Editor bindings_by_fact;
  Snapshot::Map<Access>::Editor accesses;
  AccessIndex::Editor accesses_by_tenant;
  Snapshot::Map<Upstream>::Editor upstreams;
  Snapshot::Map<ClaimRule>::Editor claim_rules;
  Snapshot::Map<Limits>::Editor limits;
  Snapshot::Map<Policy>::Editor policies;
  Snapshot::Map<RuleTarget>::Editor rule_targets;
  Snapshot::Map<Job>::Editor jobs;
  Snapshot::Map<Instance>::Editor instances;
};

SnapshotBuilder::SnapshotBuilder(const Snapshot& base)
    : next_(std::make_shared<Snapshot>(base)),
      editors_(std::make_unique<Editors>(next_.get())) {}

SnapshotBuilder::~SnapshotBuilder() = default;

absl::Status SnapshotBuilder::Put(const v1::Object& object) {
  const v1::Meta& meta = object.meta();
  if (meta.kind() != v1::KIND_UNSPECIFIED && KindName(meta.kind()).empty()) {
    ++skipped_;
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(CheckObject(object));
  PutChecked(object);
  return absl::OkStatus();
}

void SnapshotBuilder::PutChecked(const v1::Object& object) {
  const v1::Meta& meta = object.meta();
  Forget(meta.kind(), meta.id());
  next_->digest_.Add(meta.kind(), meta.id(), meta.mod_revision());
  switch (meta.kind()) {
    case v1::KIND_TENANT:
      if (auto id = TenantId::Parse(meta.id()); id.ok()) {
        editors_->tenants.Put(std::make_shared<const Tenant>(Tenant{
            *std::move(id), meta.uid(), object.tenant(), meta.mod_revision()}));
      }
      break;
    case v1::KIND_BINDING:
      PutBinding(object);
      break;
    case v1::KIND_ACCESS:
      PutAccess(Make<Access>(meta, object.access()));
      break;
    case v1::KIND_UPSTREAM:
      editors_->upstreams.Put(Make<Upstream>(meta, object.upstream()));
      break;
    case v1::KIND_CLAIM_RULE:
      editors_->claim_rules.Put(Make<ClaimRule>(meta, object.claim_rule()));
      break;
    case v1::KIND_LIMITS:
      editors_->limits.Put(std::make_shared<const Limits>(
          Limits{meta.id(), meta.uid(), object.limits(),
                 WithDefaults(object.limits()), meta.mod_revision()}));
      break;
    case v1::KIND_POLICY:
      editors_->policies.Put(Make<Policy>(meta, object.policy()));
      break;
    case v1::KIND_RULE_TARGET:
      editors_->rule_targets.Put(Make<RuleTarget>(meta, object.rule_target()));
      break;
    case v1::KIND_JOB:
      editors_->jobs.Put(Make<Job>(meta, object.job()));
      break;
    case v1::KIND_INSTANCE:
      editors_->instances.Put(Make<Instance>(meta, object.instance()));
      break;
    default:
      break;
  }
}

void SnapshotBuilder::PutBinding(const v1::Object& object) {
  const v1::Binding& spec = object.binding();
  auto binding = std::make_shared<Binding>();
  binding->id = object.meta().id();
  binding->uid = ToArray<16>(object.meta().uid());
  binding->mod_revision = object.meta().mod_revision();
  binding->fact_key = FactKeyOf(spec);
  binding->tenant_ids.reserve(static_cast<size_t>(spec.tenant_ids_size()));
  for (const std::string& text : spec.tenant_ids()) {
    // CheckObject has parsed them all.
    if (auto id = TenantId::Parse(text); id.ok()) {
      binding->tenant_ids.push_back(*std::move(id));
    }
  }
  std::sort(binding->tenant_ids.begin(), binding->tenant_ids.end());
  binding->every_tenant = spec.every_tenant();
  static_assert(v1::Role_MAX < 16, "role_bits has no room for all roles");
  uint32_t role_bits = 0;
  for (const int role : spec.roles()) role_bits |= 1U << role;
  binding->role_bits = static_cast<uint16_t>(role_bits);
  std::string fact = FactBeyondItsKey(spec);
  if (!spec.claim_rule_id().empty() || !fact.empty()) {
    binding->rare = std::make_unique<const Binding::Rare>(
        Binding::Rare{spec.claim_rule_id(), std::move(fact)});
  }
  if (spec.has_not_after()) binding->not_after = ToTime(spec.not_after());

  ReplaceBinding(std::move(binding));
}

void SnapshotBuilder::ReplaceBinding(std::shared_ptr<const Binding> binding) {
  DeleteBinding(binding->id);  // Its former fact must not work any longer.
  // This may take the fact from another binding: one that hands it over within
  // the same change, but comes later in it.
  editors_->bindings_by_fact.Put(binding);
  editors_->bindings.Put(std::move(binding));
}

void SnapshotBuilder::DeleteBinding(absl::string_view id) {
  const std::shared_ptr<const Binding> old = next_->bindings_.FindShared(id);
  if (old == nullptr) return;
  const absl::string_view fact = Snapshot::ByFact()(*old);
  // Unless another binding has taken the fact over.
  if (next_->bindings_by_fact_.Find(fact) == old.get()) {
    editors_->bindings_by_fact.Erase(fact);
  }
  editors_->bindings.Erase(id);
}

void SnapshotBuilder::PutAccess(std::shared_ptr<const Access> access) {
  DeleteAccess(access->id);  // It may have spoken of another tenant.
  editors_->accesses_by_tenant.Put(access);
  editors_->accesses.Put(std::move(access));
}

void SnapshotBuilder::DeleteAccess(absl::string_view id) {
  const std::shared_ptr<const Access> old = next_->accesses_.FindShared(id);
  if (old == nullptr) return;
  editors_->accesses_by_tenant.Erase(*old);
  editors_->accesses.Erase(id);
}

void SnapshotBuilder::Forget(v1::Kind kind, absl::string_view id) {
  const int64_t revision = next_->RevisionOf(kind, id);
  if (revision >= 0) next_->digest_.Remove(kind, id, revision);
}

void SnapshotBuilder::Delete(const v1::ObjectRef& ref) {
  Forget(ref.kind(), ref.id());
  if (ref.kind() == v1::KIND_BINDING) {
    DeleteBinding(ref.id());
    return;
  }
  if (ref.kind() == v1::KIND_ACCESS) {
    DeleteAccess(ref.id());
    return;
  }
  Editors::ForKind(ref.kind(), [&](auto, auto editor) {
    (*editors_.*editor).Erase(ref.id());
  });
}

void SnapshotBuilder::Keep(const Snapshot& other, const v1::ObjectRef& ref) {
  const int64_t revision = other.RevisionOf(ref.kind(), ref.id());
  if (revision < 0) return;
  Forget(ref.kind(), ref.id());
  next_->digest_.Add(ref.kind(), ref.id(), revision);
  if (ref.kind() == v1::KIND_BINDING) {
    ReplaceBinding(other.bindings_.FindShared(ref.id()));
    return;
  }
  if (ref.kind() == v1::KIND_ACCESS) {
    PutAccess(other.accesses_.FindShared(ref.id()));
    return;
  }
  Editors::ForKind(ref.kind(), [&](auto map, auto editor) {
    (*editors_.*editor).Put((other.*map).FindShared(ref.id()));
  });
}

int64_t Snapshot::RevisionOf(v1::Kind kind, absl::string_view id) const {
  int64_t revision = -1;
  SnapshotBuilder::Editors::ForKind(kind, [&](auto map, auto) {
    const auto* object = (this->*map).Find(id);
    if (object != nullptr) revision = object->mod_revision;
  });
  return revision;
}

std::shared_ptr<const Snapshot> SnapshotBuilder::Build(
    int64_t revision, absl::string_view epoch) && {
  editors_.reset();
  next_->revision_ = revision;
  next_->epoch_ = std::string(epoch);
  return std::move(next_);
}

}  // namespace insula::tenancy
