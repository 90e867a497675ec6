#include "services/tenant_registry/tenant_removal.h"

#include <algorithm>
#include <map>
#include <utility>

namespace insula::tenant_registry {
namespace {

// With one object more, of which the largest has less than 700 KiB, it still
// fits one Apply.
constexpr size_t kMaxStepBytes = 256 << 10;

// True if there are some left.
bool Erase(const std::string& id,
           google::protobuf::RepeatedPtrField<std::string>* ids) {
  const auto end = std::remove(ids->begin(), ids->end(), id);
  ids->erase(end, ids->end());
  return !ids->empty();
}

// True if the rule still gives series to a tenant, or refuses some.
bool EraseFromRule(const std::string& id, v1::ClaimRule* rule) {
  if (!rule->allowed_tenant_ids().empty() &&
      !Erase(id, rule->mutable_allowed_tenant_ids())) {
    return false;  // Without the list, every tenant could be named.
  }
  if (rule->default_tenant_id() == id) rule->clear_default_tenant_id();
  bool some = Erase(id, rule->mutable_default_tenant_ids()) ||
              !rule->default_tenant_id().empty();
  if (!some) rule->clear_full_replication();
  some = some || !rule->label().empty() || !rule->labels().empty();
  for (v1::ClaimRule::Values& values : *rule->mutable_values()) {
    for (auto& [value, tenant_id] : *values.mutable_tenant_ids()) {
      if (tenant_id == id) tenant_id.clear();
      some = some || !tenant_id.empty();
    }
  }
  for (v1::ClaimRule::Selection& selection : *rule->mutable_selections()) {
    some = Erase(id, selection.mutable_tenant_ids()) || some;
  }
  return some;
}

v1::Operation DeletionOf(const v1::Object& object) {
  v1::Operation operation;
  *operation.mutable_delete_() = RefOf(KeyOf(object));
  operation.set_expected_mod_revision(object.meta().mod_revision());
  return operation;
}

}  // namespace

std::optional<v1::Object> WithoutTenant(const v1::Object& object,
                                        const std::string& tenant_id) {
  v1::Object left = object;
  switch (object.spec_case()) {
    case v1::Object::kBinding:
      if (Erase(tenant_id, left.mutable_binding()->mutable_tenant_ids())) {
        return left;
      }
      return std::nullopt;
    case v1::Object::kAccess:
      if (object.access().tenant_id() != tenant_id &&
          Erase(tenant_id,
                left.mutable_access()->mutable_source_tenant_ids())) {
        return left;
      }
      return std::nullopt;
    case v1::Object::kClaimRule:
      if (EraseFromRule(tenant_id, left.mutable_claim_rule())) return left;
      return std::nullopt;
    default:
      return std::nullopt;  // Jobs, and what is not known here.
  }
}

RemovalStep NextRemovalStep(
    const ObjectPtr& tenant,
    const std::function<std::vector<ObjectPtr>(const ObjectKey&)>& referrers_of,
    size_t limit) {
  // A deletion wins over a change of the same object.
  std::map<ObjectKey, v1::Operation> operations;
  size_t bytes = 0;
  bool complete = true;
  for (const ObjectPtr& object : referrers_of(KeyOf(*tenant))) {
    bytes += object->ByteSizeLong();
    if (operations.size() >= limit ||
        (!operations.empty() && bytes > kMaxStepBytes)) {
      complete = false;
      break;
    }
    if (std::optional<v1::Object> left =
            WithoutTenant(*object, tenant->meta().id())) {
      v1::Operation operation;
      *operation.mutable_put() = *std::move(left);
      operation.set_expected_mod_revision(object->meta().mod_revision());
      operations.emplace(KeyOf(*object), std::move(operation));
      continue;
    }
    // First whoever uses it.
    bool fits = true;
    for (const ObjectPtr& user : referrers_of(KeyOf(*object))) {
      if (operations.size() + 1 >= limit) {
        fits = false;
        break;
      }
      operations[KeyOf(*user)] = DeletionOf(*user);
    }
    if (!fits) {
      complete = false;
      break;
    }
    operations[KeyOf(*object)] = DeletionOf(*object);
  }
  RemovalStep step;
  step.finished = complete && operations.size() < limit;
  for (auto& [key, operation] : operations) {
    step.operations.push_back(std::move(operation));
  }
  if (step.finished) step.operations.push_back(DeletionOf(*tenant));
  return step;
}

}  // namespace insula::tenant_registry
