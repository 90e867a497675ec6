#include "services/tenant_registry/kube_diff.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "libs/limits/deletion_brake.h"
#include "libs/resources/references.h"
#include "services/tenant_registry/digest.h"
#include "services/tenant_registry/planner.h"

namespace insula::tenant_registry {
namespace {

constexpr absl::Duration kBrakeWindow = absl::Minutes(1);

bool IsOurs(const v1::Object& object) {
  return object.meta().source() == kKubernetesSource;
}

bool IsDeleting(const v1::Object& object) {
  return object.tenant().state() == v1::Tenant::STATE_DELETING;
}

std::set<ObjectKey> Without(const std::set<ObjectKey>& all,
                            const std::set<ObjectKey>& some) {
  std::set<ObjectKey> left;
  std::set_difference(all.begin(), all.end(), some.begin(), some.end(),
                      std::inserter(left, left.end()));
  return left;
}

std::set<ObjectKey> Common(const std::set<ObjectKey>& a,
                           const std::set<ObjectKey>& b) {
  std::set<ObjectKey> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(),
                        std::inserter(both, both.end()));
  return both;
}

v1::Operation PutOf(const v1::Object& object) {
  v1::Operation operation;
  *operation.mutable_put() = object;
  operation.mutable_put()->clear_meta();
  operation.mutable_put()->mutable_meta()->set_kind(object.meta().kind());
  operation.mutable_put()->mutable_meta()->set_id(object.meta().id());
  return operation;
}

v1::Operation DeletionOf(const ObjectKey& key) {
  v1::Operation operation;
  *operation.mutable_delete_() = RefOf(key);
  return operation;
}

v1::Operation RefusalOf(const v1::Object& tenant) {
  v1::Operation operation = PutOf(tenant);
  operation.mutable_put()->mutable_tenant()->set_state(
      v1::Tenant::STATE_DELETING);
  return operation;
}

bool RefersToOneOf(const v1::Object& object,
                   const std::set<ObjectKey>& targets) {
  bool found = false;
  resources::ForEachReference(
      object, [&](const resources::Reference& reference) {
        found = found || targets.contains(reference.target());
      });
  return found;
}

}  // namespace

std::set<ObjectKey> KubeBrake::Admit(const std::set<ObjectKey>& vanished,
                                     const std::set<ObjectKey>& meant,
                                     size_t present, absl::Time now) {
  // What is not among them is deleted, or wanted again.
  held_ = Without(Common(held_, vanished), meant);
  admitted_ = Common(admitted_, vanished);
  const std::set<ObjectKey> allowed = Common(meant, vanished);
  admitted_.insert(allowed.begin(), allowed.end());
  const std::set<ObjectKey> fresh =
      Without(Without(vanished, held_), admitted_);
  while (!recent_.empty() && recent_.front().first < now - kBrakeWindow) {
    recent_.pop_front();
  }
  if (fresh.empty()) return admitted_;
  size_t recent = 0;
  for (const auto& [at, count] : recent_) recent += count;
  if (limits::TooManyDeletions(fresh.size() + recent, present + recent,
                               max_percent_)) {
    held_.insert(fresh.begin(), fresh.end());
  } else {
    admitted_.insert(fresh.begin(), fresh.end());
    recent_.emplace_back(now, fresh.size());
  }
  return admitted_;
}

std::set<ObjectKey> VanishedOf(const KubePresent& present,
                               const std::vector<v1::Object>& wanted,
                               bool tenants_known, bool accesses_known) {
  std::set<ObjectKey> vanished;
  if (tenants_known) {
    for (const ObjectPtr& tenant : present.tenants) {
      if (IsOurs(*tenant)) vanished.insert(KeyOf(*tenant));
    }
  }
  if (accesses_known) {
    for (const ObjectPtr& access : present.accesses) {
      if (IsOurs(*access)) vanished.insert(KeyOf(*access));
    }
  }
  for (const v1::Object& object : wanted) vanished.erase(KeyOf(object));
  return vanished;
}

size_t CountOf(const KubePresent& present) {
  size_t count = 0;
  for (const auto* objects : {&present.tenants, &present.accesses}) {
    for (const ObjectPtr& object : *objects) count += IsOurs(*object) ? 1 : 0;
  }
  return count;
}

KubeChanges DiffOf(const KubePresent& present,
                   const std::vector<v1::Object>& wanted,
                   const std::set<ObjectKey>& gone,
                   const std::set<std::string>& made_again) {
  KubeChanges changes;
  std::map<ObjectKey, ObjectPtr> by_key;
  std::set<ObjectKey> removed;
  for (const ObjectPtr& access : present.accesses) {
    const ObjectKey key = KeyOf(*access);
    by_key[key] = access;
    if (IsOurs(*access) && gone.contains(key)) {
      changes.revocations.push_back(DeletionOf(key));
    }
  }
  for (const ObjectPtr& tenant : present.tenants) {
    const ObjectKey key = KeyOf(*tenant);
    by_key[key] = tenant;
    if (!IsOurs(*tenant)) continue;
    const bool deleting = IsDeleting(*tenant);
    if (!deleting && !gone.contains(key) && !made_again.contains(key.id)) {
      continue;
    }
    // One that is DELETING already: what was begun earlier is finished.
    if (!deleting) changes.revocations.push_back(RefusalOf(*tenant));
    changes.removals.push_back(key.id);
    removed.insert(key);
  }
  for (const v1::Object& object : wanted) {
    const ObjectKey key = KeyOf(object);
    const auto it = by_key.find(key);
    const bool after = removed.contains(key) || RefersToOneOf(object, removed);
    if (it != by_key.end() && !removed.contains(key)) {
      const std::string& source = it->second->meta().source();
      if (source != kKubernetesSource && present.keeps(source)) {
        changes.owned_elsewhere.emplace_back(key, source);
        continue;
      }
      if (!after && source == kKubernetesSource &&
          SpecBytes(*it->second) == SpecBytes(object)) {
        continue;
      }
    }
    (after ? changes.puts_after : changes.puts).push_back(PutOf(object));
  }
  return changes;
}

}  // namespace insula::tenant_registry
