#include "services/tenant_registry/draft.h"

namespace insula::tenant_registry {

ObjectPtr Draft::Find(const ObjectKey& key) const {
  const auto it = objects_.find(key);
  return it != objects_.end() ? it->second : state_.Find(key);
}

void Draft::ForEachReferrer(
    const ObjectKey& target,
    absl::FunctionRef<void(const v1::Object&)> visit) const {
  if (const auto* stored = state_.index().ReferrersOf(target)) {
    for (const v1::Object* object : *stored) {
      if (!IsChanged(*object)) visit(*object);
    }
  }
  if (const auto* planned = index_.ReferrersOf(target)) {
    for (const v1::Object* object : *planned) visit(*object);
  }
}

const v1::Object* Draft::FactHolder(const tenancy::FactKey& fact) const {
  if (const v1::Object* planned = index_.FactHolder(fact)) return planned;
  const v1::Object* stored = state_.index().FactHolder(fact);
  return stored != nullptr && IsChanged(*stored) ? nullptr : stored;
}

void Draft::ForEachRetired(const StoreIdentity& wanted,
                           RetiredIdentities::Visit visit) const {
  state_.retired().ForEachOverlap(
      wanted, [&](const StoreIdentity& identity, const FormerTenant& former) {
        if (!changed_retired_.contains(identity)) visit(identity, former);
      });
  retired_.ForEachOverlap(wanted, visit);
}

void Draft::Add(const Change& change) {
  // Deletions first: a fact may pass from one binding to another.
  for (const Change::Item& item : change.items) {
    ObjectPtr& object = objects_[item.key];
    if (object != nullptr) index_.Remove(*object);
    object = nullptr;
  }
  for (const Change::Item& item : change.items) {
    if (item.object == nullptr) continue;
    index_.Add(*item.object);
    objects_[item.key] = item.object;
  }
  for (const Retirement& retirement : change.retirements) {
    changed_retired_.insert(retirement.identity);
    retired_.Take(retirement);
  }
  revision_ = change.revision;
}

}  // namespace insula::tenant_registry
