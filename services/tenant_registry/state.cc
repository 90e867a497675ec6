#include "services/tenant_registry/state.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <functional>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/random.h"

namespace insula::tenant_registry {
namespace {

constexpr int kMaxOperations = 50;
constexpr size_t kMaxRequestIdBytes = 64;
// An answer with the changes of one revision must fit a follower's largest
// message.
constexpr size_t kMaxApplyBytes = 1 << 20;

// The object without its meta data, in one form only.
std::string SpecBytes(const v1::Object& object) {
  v1::Object spec = object;
  spec.clear_meta();
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  spec.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

template <typename... Parts>
absl::Status Refused(const ObjectKey& key, const Parts&... parts) {
  return absl::FailedPreconditionError(absl::StrCat(Name(key), ": ", parts...));
}

void AddAll(absl::string_view field, v1::Kind kind,
            const google::protobuf::RepeatedPtrField<std::string>& ids,
            std::vector<Reference>* references) {
  for (int i = 0; i < ids.size(); ++i) {
    ObjectKey key{kind, ids[i]};
    references->push_back({absl::StrCat(field, "[", i, "]"), std::move(key)});
  }
}

bool NeedsLabels(const ObjectPtr& upstream) {
  return upstream != nullptr &&
         upstream->upstream().isolation() == v1::Upstream::ISOLATION_LABEL;
}

}  // namespace

std::vector<Reference> ReferencesOf(const v1::Object& object) {
  std::vector<Reference> references;
  auto add = [&](absl::string_view field, v1::Kind kind,
                 const std::string& id) {
    if (!id.empty()) references.push_back({std::string(field), {kind, id}});
  };
  switch (object.spec_case()) {
    case v1::Object::kTenant:
      add("spec.limits_id", v1::KIND_LIMITS, object.tenant().limits_id());
      add("spec.upstream_id", v1::KIND_UPSTREAM, object.tenant().upstream_id());
      add("spec.rule_target_id", v1::KIND_RULE_TARGET,
          object.tenant().rule_target_id());
      break;
    case v1::Object::kJob:
      add("spec.tenant_id", v1::KIND_TENANT, object.job().tenant_id());
      break;
    case v1::Object::kBinding:
      AddAll("spec.tenant_ids", v1::KIND_TENANT, object.binding().tenant_ids(),
             &references);
      add("spec.claim_rule_id", v1::KIND_CLAIM_RULE,
          object.binding().claim_rule_id());
      break;
    case v1::Object::kAccess:
      add("spec.tenant_id", v1::KIND_TENANT, object.access().tenant_id());
      AddAll("spec.source_tenant_ids", v1::KIND_TENANT,
             object.access().source_tenant_ids(), &references);
      break;
    case v1::Object::kClaimRule:
      add("spec.default_tenant_id", v1::KIND_TENANT,
          object.claim_rule().default_tenant_id());
      break;
    default:
      break;
  }
  return references;
}

ObjectPtr State::Find(const ObjectKey& key) const {
  const Objects& objects = OfKind(key.kind);
  const auto it = objects.find(key.id);
  return it == objects.end() ? nullptr : it->second;
}

const State::Objects& State::OfKind(v1::Kind kind) const {
  static const Objects* const kNone = new Objects();
  const auto it = kinds_.find(kind);
  return it == kinds_.end() ? *kNone : it->second;
}

int64_t State::LastChange(v1::Kind kind) const {
  const auto it = last_change_.find(kind);
  return it == last_change_.end() ? 0 : it->second;
}

void State::Put(const ObjectKey& key, ObjectPtr object) {
  Remove(key);
  for (const Reference& reference : ReferencesOf(*object)) {
    ++references_[reference.target];
  }
  if (object->has_binding() && object->binding().has_token_sha256()) {
    bindings_by_token_[object->binding().token_sha256()] = key.id;
  }
  kinds_[key.kind][key.id] = std::move(object);
}

void State::Remove(const ObjectKey& key) {
  const ObjectPtr old = Find(key);
  if (old == nullptr) return;
  for (const Reference& reference : ReferencesOf(*old)) {
    const auto it = references_.find(reference.target);
    if (it != references_.end() && --it->second == 0) references_.erase(it);
  }
  const auto token = bindings_by_token_.find(old->binding().token_sha256());
  if (token != bindings_by_token_.end() && token->second == key.id) {
    bindings_by_token_.erase(token);
  }
  kinds_[key.kind].erase(key.id);
}

void State::Commit(const Change& change) {
  // Deletions first: a token may pass from one binding to another.
  for (const Change::Item& item : change.items) {
    Remove(item.key);
    last_change_[item.key.kind] = change.revision;
  }
  for (const Change::Item& item : change.items) {
    if (item.object != nullptr) Put(item.key, item.object);
  }
  revision_ = change.revision;
}

void State::Load(ObjectPtr object) {
  const ObjectKey key = KeyOf(*object);
  last_change_[key.kind] =
      std::max(LastChange(key.kind), object->meta().mod_revision());
  Put(key, std::move(object));
}

// One request being looked at: the objects as they would be afterwards.
class State::Planner {
 public:
  Planner(const State& state, const ApplyCommand& command, absl::Time now)
      : state_(state), command_(command), now_(now) {}

  absl::StatusOr<Change> Run() {
    RETURN_IF_ERROR(CheckRequest());
    for (const v1::Operation& operation : command_.request.operations()) {
      RETURN_IF_ERROR(Add(operation));
    }
    for (const auto& [key, object] : after_) {
      RETURN_IF_ERROR(object == nullptr ? CheckDeleted(key)
                                        : CheckPut(key, *object));
    }
    return MakeChange();
  }

 private:
  absl::Status CheckRequest() const {
    const v1::ApplyRequest& request = command_.request;
    if (request.operations().empty() ||
        request.operations_size() > kMaxOperations) {
      return absl::InvalidArgumentError(
          absl::StrCat("operations: must be 1 to ", kMaxOperations, ", got ",
                       request.operations_size()));
    }
    if (request.request_id().size() > kMaxRequestIdBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("request_id: must have at most ", kMaxRequestIdBytes,
                       " bytes, has ", request.request_id().size()));
    }
    if (request.ByteSizeLong() > kMaxApplyBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("operations: are ", request.ByteSizeLong(),
                       " bytes together, at most ", kMaxApplyBytes,
                       " fit one request; split it"));
    }
    return absl::OkStatus();
  }

  absl::Status Add(const v1::Operation& operation) {
    ObjectKey key;
    ObjectPtr object;
    if (operation.has_put()) {
      RETURN_IF_ERROR(tenancy::CheckObject(operation.put()));
      key = KeyOf(operation.put());
      object = std::make_shared<v1::Object>(operation.put());
    } else if (operation.has_delete_()) {
      key = KeyOf(operation.delete_());
    } else {
      return absl::InvalidArgumentError(
          "operations: one has neither put nor delete");
    }
    const ObjectPtr before = state_.Find(key);
    RETURN_IF_ERROR(CheckExpected(operation, key, before));
    if (before == nullptr && object == nullptr) {
      return absl::NotFoundError(absl::StrCat("there is no ", Name(key)));
    }
    RETURN_IF_ERROR(CheckOwner(key, before));
    if (!after_.emplace(key, std::move(object)).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          Name(key), ": is named by two operations of the request"));
    }
    order_.push_back(std::move(key));
    return absl::OkStatus();
  }

  absl::Status CheckExpected(const v1::Operation& operation,
                             const ObjectKey& key,
                             const ObjectPtr& before) const {
    if (!operation.has_expected_mod_revision()) return absl::OkStatus();
    const int64_t present =
        before == nullptr ? 0 : before->meta().mod_revision();
    if (operation.expected_mod_revision() == present) return absl::OkStatus();
    return absl::AbortedError(
        absl::StrCat(Name(key), ": expected mod_revision ",
                     operation.expected_mod_revision(), ", it is ", present,
                     "; read it again and decide anew"));
  }

  absl::Status CheckOwner(const ObjectKey& key, const ObjectPtr& before) const {
    if (before == nullptr) return absl::OkStatus();
    const std::string& owner = before->meta().source();
    if (owner == command_.source) return absl::OkStatus();
    if (absl::StartsWith(owner, "file:") && !state_.files_.contains(owner)) {
      return absl::OkStatus();
    }
    return Refused(key, "is kept by ", owner, ", not by ", command_.source,
                   "; change it there");
  }

  // The object as it would be.
  ObjectPtr After(const ObjectKey& key) const {
    const auto it = after_.find(key);
    return it != after_.end() ? it->second : state_.Find(key);
  }

  absl::Status CheckPut(const ObjectKey& key, const v1::Object& object) const {
    for (const Reference& reference : ReferencesOf(object)) {
      if (After(reference.target) == nullptr) {
        return Refused(key, reference.field, ": there is no ",
                       Name(reference.target),
                       "; make it first, or in the same request");
      }
    }
    if (object.has_tenant()) return CheckIsolation(key, object);
    if (object.has_upstream()) return CheckTenantsOf(key, object);
    if (object.has_binding()) return CheckToken(key, object.binding());
    return absl::OkStatus();
  }

  absl::Status CheckIsolation(const ObjectKey& key,
                              const v1::Object& tenant) const {
    const ObjectKey upstream{v1::KIND_UPSTREAM, tenant.tenant().upstream_id()};
    if (upstream.id.empty() || !tenant.tenant().enforced_labels().empty() ||
        !NeedsLabels(After(upstream))) {
      return absl::OkStatus();
    }
    return Refused(key, "spec.enforced_labels: is empty, but ", Name(upstream),
                   " tells tenants apart by labels; give at least one");
  }

  // An upstream that comes to isolate by label, seen from its tenants.
  absl::Status CheckTenantsOf(const ObjectKey& key,
                              const v1::Object& upstream) const {
    if (upstream.upstream().isolation() != v1::Upstream::ISOLATION_LABEL ||
        NeedsLabels(state_.Find(key))) {
      return absl::OkStatus();
    }
    for (const auto& [id, before] : state_.OfKind(v1::KIND_TENANT)) {
      if (before->tenant().upstream_id() != key.id) continue;
      const ObjectKey tenant{v1::KIND_TENANT, id};
      const ObjectPtr after = After(tenant);
      if (after != nullptr) RETURN_IF_ERROR(CheckIsolation(tenant, *after));
    }
    return absl::OkStatus();
  }

  absl::Status CheckToken(const ObjectKey& key,
                          const v1::Binding& binding) const {
    const std::string& token = binding.token_sha256();
    for (const auto& [other, object] : after_) {
      if (other != key && object != nullptr &&
          object->binding().token_sha256() == token) {
        return SameToken(key, other);
      }
    }
    const auto it = state_.bindings_by_token_.find(token);
    if (it == state_.bindings_by_token_.end()) return absl::OkStatus();
    const ObjectKey holder{v1::KIND_BINDING, it->second};
    // One that this request changes or deletes was looked at above.
    if (holder == key || after_.contains(holder)) return absl::OkStatus();
    return SameToken(key, holder);
  }

  static absl::Status SameToken(const ObjectKey& key, const ObjectKey& other) {
    return Refused(key, "spec.token_sha256: ", Name(other),
                   " has the same token; a token is of one binding");
  }

  absl::Status CheckDeleted(const ObjectKey& key) const {
    const auto it = state_.references_.find(key);
    int64_t left = it == state_.references_.end() ? 0 : it->second;
    // References of objects that this request puts were looked at there; what
    // is left must go with it.
    for (const auto& [other, object] : after_) {
      const ObjectPtr before = state_.Find(other);
      if (before == nullptr) continue;
      for (const Reference& reference : ReferencesOf(*before)) {
        if (reference.target == key) --left;
      }
    }
    if (left <= 0) return absl::OkStatus();
    return Refused(key, "can't be deleted while ", FindReferrer(key),
                   left > 1 ? absl::StrCat(" and ", left - 1, " more refer")
                            : std::string(" refers"),
                   " to it; change those first, or in the same request");
  }

  std::string FindReferrer(const ObjectKey& key) const {
    for (const auto& [kind, objects] : state_.kinds_) {
      for (const auto& [id, object] : objects) {
        const ObjectKey other{kind, id};
        if (after_.contains(other)) continue;
        for (const Reference& reference : ReferencesOf(*object)) {
          if (reference.target == key) {
            return absl::StrCat(Name(other), " (", reference.field, ")");
          }
        }
      }
    }
    return "another object";
  }

  Change MakeChange() const {
    Change change;
    change.revision = state_.revision_ + 1;
    for (const ObjectKey& key : order_) {
      const ObjectPtr& object = after_.at(key);
      const ObjectPtr before = state_.Find(key);
      if (object == nullptr) {
        change.items.push_back({key, nullptr});
      } else if (!IsSame(before, *object)) {
        change.items.push_back(
            {key, Finished(key, *object, before, change.revision)});
      }
    }
    if (change.items.empty()) change.revision = state_.revision_;
    return change;
  }

  // A put of what is there changes nothing, unless the object gets a new owner.
  bool IsSame(const ObjectPtr& before, const v1::Object& object) const {
    return before != nullptr && before->meta().source() == command_.source &&
           SpecBytes(*before) == SpecBytes(object);
  }

  ObjectPtr Finished(const ObjectKey& key, const v1::Object& object,
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
    meta->set_source(command_.source);
    const int64_t nanos = absl::ToUnixNanos(now_);
    meta->mutable_updated_at()->set_seconds(nanos / 1'000'000'000);
    meta->mutable_updated_at()->set_nanos(
        static_cast<int32_t>(nanos % 1'000'000'000));
    meta->set_updated_by(command_.actor);
    return finished;
  }

  const State& state_;
  const ApplyCommand& command_;
  const absl::Time now_;
  std::map<ObjectKey, ObjectPtr> after_;  // Null: deleted.
  std::vector<ObjectKey> order_;          // As the request has them.
};

absl::StatusOr<Change> State::Plan(const ApplyCommand& command,
                                   absl::Time now) const {
  return Planner(*this, command, now).Run();
}

}  // namespace insula::tenant_registry
