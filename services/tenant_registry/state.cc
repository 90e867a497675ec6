#include "services/tenant_registry/state.h"

namespace insula::tenant_registry {

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

std::vector<ObjectPtr> State::ReferrersOf(const ObjectKey& target,
                                          size_t limit) const {
  std::vector<ObjectPtr> found;
  const resources::ObjectIndex::Referrers* const referrers =
      index_.ReferrersOf(target);
  if (referrers == nullptr) return found;
  for (const v1::Object* object : *referrers) {
    if (found.size() == limit) break;
    found.push_back(Find(KeyOf(*object)));
  }
  return found;
}

const State::Objects* State::AccessesOf(absl::string_view tenant_id) const {
  const auto it = accesses_.find(tenant_id);
  return it == accesses_.end() ? nullptr : &it->second;
}

int64_t State::LastChange(v1::Kind kind) const {
  const auto it = last_change_.find(kind);
  return it == last_change_.end() ? loaded_revision_ : it->second;
}

void State::Put(const ObjectKey& key, ObjectPtr object) {
  Remove(key);
  index_.Add(*object);
  digest_.Add(key.kind, key.id, object->meta().mod_revision());
  if (object->tenant().state() == v1::Tenant::STATE_DELETING) {
    deleting_.insert(key.id);
  }
  if (key.kind == v1::KIND_ACCESS) {
    accesses_[object->access().tenant_id()][key.id] = object;
  }
  kinds_[key.kind][key.id] = std::move(object);
}

void State::Remove(const ObjectKey& key) {
  const auto kind = kinds_.find(key.kind);
  if (kind == kinds_.end()) return;
  const auto it = kind->second.find(key.id);
  if (it == kind->second.end()) return;
  index_.Remove(*it->second);
  digest_.Remove(key.kind, key.id, it->second->meta().mod_revision());
  if (key.kind == v1::KIND_TENANT) deleting_.erase(key.id);
  if (key.kind == v1::KIND_ACCESS) {
    const auto group = accesses_.find(it->second->access().tenant_id());
    group->second.erase(key.id);
    if (group->second.empty()) accesses_.erase(group);
  }
  kind->second.erase(it);
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
  for (const Retirement& retirement : change.retirements) {
    retired_.Take(retirement);
  }
  revision_ = change.revision;
}

void State::Load(ObjectPtr object) {
  const ObjectKey key = KeyOf(*object);
  Put(key, std::move(object));
}

void State::FinishLoading(int64_t revision) {
  revision_ = revision;
  // What was deleted last has left no trace among the objects.
  loaded_revision_ = revision;
}

}  // namespace insula::tenant_registry
