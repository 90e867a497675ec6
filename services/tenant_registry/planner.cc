#include "services/tenant_registry/planner.h"

#include <map>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/resources/object_rules.h"
#include "libs/resources/references.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/fact.h"
#include "services/tenant_registry/digest.h"
#include "services/tenant_registry/identity_changes.h"
#include "services/tenant_registry/proto_time.h"
#include "services/tenant_registry/random.h"

namespace insula::tenant_registry {
namespace {

using resources::ForEachReference;
using resources::Reference;

constexpr int kMaxOperations = 50;
constexpr size_t kMaxRequestIdBytes = 64;
// An answer with the changes of one revision must fit a follower's largest
// message.
constexpr size_t kMaxApplyBytes = 1 << 20;

template <typename... Parts>
absl::Status Refused(const ObjectKey& key, const Parts&... parts) {
  return absl::FailedPreconditionError(absl::StrCat(Name(key), ": ", parts...));
}

// The tenants that an object is or names.
void AddTenantsOf(const ObjectPtr& object, std::set<std::string>* tenants) {
  if (object == nullptr) return;
  if (object->has_tenant()) tenants->insert(object->meta().id());
  ForEachReference(*object, [&](const Reference& reference) {
    if (reference.kind == v1::KIND_TENANT) tenants->insert(reference.id);
  });
}

// One request being looked at: the objects as they would be afterwards.
class Planner {
 public:
  Planner(const Draft& draft, const ApplyCommand& command,
          const PlanOptions& options)
      : draft_(draft), command_(command), options_(options) {}

  absl::StatusOr<Plan> Run() {
    RETURN_IF_ERROR(CheckRequest(command_.request));
    for (const v1::Operation& operation : command_.request.operations()) {
      RETURN_IF_ERROR(Add(operation));
    }
    if (options_.retire_identities) identities_.FindReleased(options_.now);
    for (const auto& [key, object] : after_) {
      RETURN_IF_ERROR(object == nullptr ? CheckDeleted(key)
                                        : CheckPut(key, *object));
    }
    return MakePlan();
  }

 private:
  absl::Status Add(const v1::Operation& operation);
  static absl::Status CheckExpected(const v1::Operation& operation,
                                    const ObjectKey& key,
                                    const ObjectPtr& before);
  absl::Status CheckOwner(const ObjectKey& key, const ObjectPtr& before) const;
  absl::Status CheckPut(const ObjectKey& key, const v1::Object& object) const;
  absl::Status CheckTenantsOf(const ObjectKey& key,
                              const v1::Object& upstream) const;
  absl::Status CheckFact(const ObjectKey& key,
                         const v1::Binding& binding) const;
  absl::Status CheckDeleted(const ObjectKey& key) const;
  // The object as it would be.
  ObjectPtr After(const ObjectKey& key) const {
    const auto it = after_.find(key);
    return it != after_.end() ? it->second : draft_.Find(key);
  }

  // Whose a put object is from then on.
  std::string OwnerAfter(const ObjectPtr& before) const {
    return before != nullptr && command_.source == kRegistrySource
               ? before->meta().source()
               : command_.source;
  }

  Plan MakePlan() const;
  ObjectPtr Finished(const ObjectKey& key, const v1::Object& object,
                     const ObjectPtr& before, int64_t revision) const;
  AuditRecord MakeAudit(const ObjectKey& key, int64_t revision,
                        const ObjectPtr& before, const ObjectPtr& after) const;

  const Draft& draft_;
  const ApplyCommand& command_;
  const PlanOptions& options_;
  std::map<ObjectKey, ObjectPtr> after_;  // Null: deleted.
  std::vector<ObjectKey> order_;          // As the request has them.
  IdentityChanges identities_{&draft_, &after_};
  // The bindings among them that are not deleted.
  absl::flat_hash_map<tenancy::FactKey, std::vector<ObjectKey>> fact_holders_;
};

absl::Status Planner::Add(const v1::Operation& operation) {
  ObjectKey key;
  ObjectPtr object;
  if (operation.has_put()) {
    key = KeyOf(operation.put());
    object = std::make_shared<v1::Object>(operation.put());
  } else {
    key = KeyOf(operation.delete_());
  }
  const ObjectPtr before = draft_.Find(key);
  RETURN_IF_ERROR(CheckExpected(operation, key, before));
  if (before == nullptr && object == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no ", Name(key)));
  }
  RETURN_IF_ERROR(CheckOwner(key, before));
  if (object != nullptr && object->has_binding()) {
    const tenancy::FactKey fact = tenancy::FactKeyOf(object->binding());
    // Bindings without one have none in common.
    if (!fact.empty()) fact_holders_[fact].push_back(key);
  }
  if (!after_.emplace(key, std::move(object)).second) {
    return absl::InvalidArgumentError(
        absl::StrCat(Name(key), ": is named by two operations of the request"));
  }
  order_.push_back(std::move(key));
  return absl::OkStatus();
}

absl::Status Planner::CheckExpected(const v1::Operation& operation,
                                    const ObjectKey& key,
                                    const ObjectPtr& before) {
  if (!operation.has_expected_mod_revision()) return absl::OkStatus();
  const int64_t present = before == nullptr ? 0 : before->meta().mod_revision();
  if (operation.expected_mod_revision() == present) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat(
      Name(key), ": expected mod_revision ", operation.expected_mod_revision(),
      ", it is ", present, "; read it again and decide anew"));
}

absl::Status Planner::CheckOwner(const ObjectKey& key,
                                 const ObjectPtr& before) const {
  if (before == nullptr) return absl::OkStatus();
  const std::string& owner = before->meta().source();
  if (owner == command_.source || command_.source == kRegistrySource) {
    return absl::OkStatus();
  }
  if (absl::StartsWith(owner, "file:") && !draft_.IsFileRead(owner)) {
    return absl::OkStatus();
  }
  return Refused(key, "is kept by ", owner, ", not by ", command_.source,
                 "; change it there");
}

absl::Status Planner::CheckPut(const ObjectKey& key,
                               const v1::Object& object) const {
  auto find = [this](const ObjectKey& other) { return After(other).get(); };
  RETURN_IF_ERROR(resources::CheckReferences(object, find));
  if (object.has_tenant()) {
    if (object.tenant().state() == v1::Tenant::STATE_DELETING &&
        draft_.Find(key) == nullptr) {
      return resources::NothingToDelete(key);
    }
    RETURN_IF_ERROR(resources::CheckIsolation(object, find));
    return identities_.CheckTenant(key, object);
  }
  if (object.has_instance() && command_.source != kLeaseSource) {
    return resources::InstanceFrom(key, command_.source);
  }
  if (object.has_upstream()) {
    RETURN_IF_ERROR(CheckTenantsOf(key, object));
    return identities_.CheckTenantsOf(key);
  }
  if (object.has_rule_target()) return identities_.CheckTenantsOf(key);
  if (object.has_binding()) return CheckFact(key, object.binding());
  return absl::OkStatus();
}

// An upstream that comes to isolate by label, seen from its tenants.
absl::Status Planner::CheckTenantsOf(const ObjectKey& key,
                                     const v1::Object& upstream) const {
  if (upstream.upstream().isolation() != v1::Upstream::ISOLATION_LABEL ||
      resources::IsolatesByLabel(draft_.Find(key).get())) {
    return absl::OkStatus();
  }
  auto find = [this](const ObjectKey& other) { return After(other).get(); };
  absl::Status status;
  draft_.ForEachReferrer(key, [&](const v1::Object& tenant) {
    if (!status.ok()) return;
    const ObjectPtr after = After(KeyOf(tenant));
    if (after != nullptr) status = resources::CheckIsolation(*after, find);
  });
  return status;
}

absl::Status Planner::CheckFact(const ObjectKey& key,
                                const v1::Binding& binding) const {
  const tenancy::FactKey fact = tenancy::FactKeyOf(binding);
  if (const auto it = fact_holders_.find(fact); it != fact_holders_.end()) {
    for (const ObjectKey& other : it->second) {
      if (other != key) return resources::SameFact(key, binding, other);
    }
  }
  const v1::Object* const holder = draft_.FactHolder(fact);
  if (holder == nullptr) return absl::OkStatus();
  // One that this request changes or deletes was looked at above.
  if (after_.contains(KeyOf(*holder))) return absl::OkStatus();
  return resources::SameFact(key, binding, KeyOf(*holder));
}

absl::Status Planner::CheckDeleted(const ObjectKey& key) const {
  // References of objects that this request puts were looked at there; what is
  // left must go with it.
  const v1::Object* first = nullptr;
  int64_t left = 0;
  draft_.ForEachReferrer(key, [&](const v1::Object& object) {
    if (after_.contains(KeyOf(object))) return;
    ++left;
    if (first == nullptr || KeyOf(object) < KeyOf(*first)) first = &object;
  });
  if (first == nullptr) return absl::OkStatus();
  std::string referrer;
  ForEachReference(*first, [&](const Reference& reference) {
    if (!referrer.empty() || reference.target() != key) return;
    referrer =
        absl::StrCat(Name(KeyOf(*first)), " (", reference.field_name(), ")");
  });
  return Refused(key, "can't be deleted while ", referrer,
                 left > 1 ? absl::StrCat(" and ", left - 1, " more refer")
                          : std::string(" refers"),
                 " to it; change those first, or in the same request");
}

Plan Planner::MakePlan() const {
  Plan plan;
  plan.change.revision = draft_.revision() + 1;
  for (const ObjectKey& key : order_) {
    const ObjectPtr& object = after_.at(key);
    const ObjectPtr before = draft_.Find(key);
    ObjectPtr after;
    if (object != nullptr) {
      // A put of what is there changes nothing, unless the object gets a new
      // owner.
      if (before != nullptr && before->meta().source() == OwnerAfter(before) &&
          SpecBytes(*before) == SpecBytes(*object)) {
        continue;
      }
      after = Finished(key, *object, before, plan.change.revision);
    }
    plan.audit.push_back(MakeAudit(key, plan.change.revision, before, after));
    plan.change.items.push_back({key, std::move(after)});
  }
  if (plan.change.items.empty()) {
    plan.change.revision = draft_.revision();
  } else {
    plan.change.retirements = identities_.Retirements();
  }
  return plan;
}

ObjectPtr Planner::Finished(const ObjectKey& key, const v1::Object& object,
                            const ObjectPtr& before, int64_t revision) const {
  auto finished = std::make_shared<v1::Object>(object);
  v1::Meta* meta = finished->mutable_meta();
  meta->Clear();
  meta->set_kind(key.kind);
  meta->set_id(key.id);
  meta->set_uid(before == nullptr ? RandomUid() : before->meta().uid());
  meta->set_create_revision(
      before == nullptr ? revision : before->meta().create_revision());
  meta->set_mod_revision(revision);
  meta->set_source(OwnerAfter(before));
  SetTimestamp(options_.now, meta->mutable_updated_at());
  meta->set_updated_by(command_.actor);
  if (object.tenant().state() == v1::Tenant::STATE_DELETING) {
    if (before->meta().has_delete_at()) {
      *meta->mutable_delete_at() = before->meta().delete_at();
    } else {
      SetTimestamp(options_.now + options_.deletion_grace,
                   meta->mutable_delete_at());
    }
  }
  return finished;
}

AuditRecord Planner::MakeAudit(const ObjectKey& key, int64_t revision,
                               const ObjectPtr& before,
                               const ObjectPtr& after) const {
  AuditRecord record;
  v1::AuditEntry& entry = record.entry;
  entry.set_revision(revision);
  SetTimestamp(options_.now, entry.mutable_at());
  entry.set_actor(command_.actor);
  entry.set_source(command_.source);
  entry.set_request_id(command_.request.request_id());
  *entry.mutable_ref() = RefOf(key);
  if (before != nullptr) entry.set_before_sha256(Sha256(SpecBytes(*before)));
  if (after != nullptr) entry.set_after_sha256(Sha256(SpecBytes(*after)));
  std::set<std::string> tenants;
  AddTenantsOf(before, &tenants);
  AddTenantsOf(after, &tenants);
  record.tenants.assign(tenants.begin(), tenants.end());
  return record;
}

}  // namespace

absl::Status CheckRequest(const v1::ApplyRequest& request) {
  if (request.operations().empty() ||
      request.operations_size() > kMaxOperations) {
    return absl::InvalidArgumentError(absl::StrCat("operations: must be 1 to ",
                                                   kMaxOperations, ", got ",
                                                   request.operations_size()));
  }
  if (request.request_id().size() > kMaxRequestIdBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("request_id: must have at most ", kMaxRequestIdBytes,
                     " bytes, has ", request.request_id().size()));
  }
  if (request.ByteSizeLong() > kMaxApplyBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "operations: are ", request.ByteSizeLong(), " bytes together, at most ",
        kMaxApplyBytes, " fit one request; split it"));
  }
  for (const v1::Operation& operation : request.operations()) {
    if (operation.has_put()) {
      RETURN_IF_ERROR(tenancy::CheckObject(operation.put()));
    } else if (!operation.has_delete_()) {
      return absl::InvalidArgumentError(
          "operations: one has neither put nor delete");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Plan> PlanApply(const Draft& draft, const ApplyCommand& command,
                               const PlanOptions& options) {
  return Planner(draft, command, options).Run();
}

}  // namespace insula::tenant_registry
