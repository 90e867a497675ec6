#include "tools/insulactl/watch_state.h"

#include <utility>

namespace insula::insulactl {

using resources::KeyOf;
using resources::ObjectKey;

std::vector<WatchedChange> WatchState::Take(const v1::WatchResponse& response) {
  std::vector<WatchedChange> changes;
  started_over_ = false;
  switch (response.phase()) {
    case v1::WatchResponse::PHASE_RESET:
      started_over_ = has_snapshot_;
      new_epoch_ = response.epoch() != epoch_;
      next_.clear();
      changes_.clear();
      return changes;
    case v1::WatchResponse::PHASE_SNAPSHOT:
      for (const v1::Object& object : response.puts()) {
        const ObjectKey key = KeyOf(object);
        const int64_t revision = object.meta().mod_revision();
        const auto it = known_.find(key);
        // Revisions of another epoch can't be compared.
        const bool fresh =
            new_epoch_ || it == known_.end() || it->second != revision;
        if (tell_ && fresh) changes_.push_back({revision, key, object});
        next_[key] = revision;
      }
      return changes;
    case v1::WatchResponse::PHASE_SNAPSHOT_END:
      changes = EndSnapshot(response.revision());
      break;
    case v1::WatchResponse::PHASE_DELTA:
      for (const v1::Object& object : response.puts()) {
        known_[KeyOf(object)] = object.meta().mod_revision();
        changes.push_back(
            {object.meta().mod_revision(), KeyOf(object), object});
      }
      for (const v1::ObjectRef& ref : response.deletes()) {
        known_.erase(KeyOf(ref));
        changes.push_back({response.revision(), KeyOf(ref), std::nullopt});
      }
      break;
    default:
      break;
  }
  revision_ = response.revision();
  epoch_ = response.epoch();
  return changes;
}

std::vector<WatchedChange> WatchState::EndSnapshot(int64_t revision) {
  if (tell_) {
    for (const auto& [key, _] : known_) {
      if (!next_.contains(key)) {
        changes_.push_back({revision, key, std::nullopt});
      }
    }
  }
  known_ = std::exchange(next_, {});
  has_snapshot_ = true;
  tell_ = true;
  return std::exchange(changes_, {});
}

}  // namespace insula::insulactl
