#include "services/tenant_registry/source_plan.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <map>
#include <utility>

#include "libs/limits/deletion_brake.h"
#include "libs/resources/object_rules.h"

namespace insula::tenant_registry {
namespace {

bool SameSpec(const v1::Object& a, const v1::Object& b) {
  v1::Object without_meta = a;
  *without_meta.mutable_meta() = b.meta();
  return google::protobuf::util::MessageDifferencer::Equals(without_meta, b);
}

}  // namespace

SourcePlan PlanSource(const resources::ResourceFile& file,
                      absl::string_view name,
                      const std::vector<ObjectPtr>& present,
                      int max_deletion_percent) {
  SourcePlan plan;
  std::map<ObjectKey, ObjectPtr> by_key;
  for (const ObjectPtr& object : present) by_key[KeyOf(*object)] = object;

  for (const resources::Resource& resource : file.resources) {
    const auto it = by_key.find(KeyOf(resource.object));
    if (it != by_key.end() && SameSpec(*it->second, resource.object)) continue;
    SourceOperation put;
    put.where = resource.where;
    *put.operation.mutable_put() = resource.object;
    plan.operations.push_back(std::move(put));
  }
  std::stable_sort(
      plan.operations.begin(), plan.operations.end(),
      [](const SourceOperation& a, const SourceOperation& b) {
        return resources::ReferenceRank(a.operation.put().meta().kind()) <
               resources::ReferenceRank(b.operation.put().meta().kind());
      });

  std::vector<ObjectKey> vanished;
  for (const auto& [key, object] : by_key) {
    if (file.complete && !file.named.contains(key)) vanished.push_back(key);
  }
  if (limits::TooManyDeletions(vanished.size(), by_key.size(),
                               max_deletion_percent)) {
    plan.held_deletions = vanished.size();
    return plan;
  }
  std::stable_sort(vanished.begin(), vanished.end(),
                   [](const ObjectKey& a, const ObjectKey& b) {
                     return resources::ReferenceRank(a.kind) >
                            resources::ReferenceRank(b.kind);
                   });
  for (const ObjectKey& key : vanished) {
    SourceOperation deletion;
    deletion.where = std::string(name);
    *deletion.operation.mutable_delete_() = RefOf(key);
    plan.operations.push_back(std::move(deletion));
  }
  return plan;
}

}  // namespace insula::tenant_registry
