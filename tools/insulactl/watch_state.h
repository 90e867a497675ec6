// What a Watch tells, as changes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/resources/object_key.h"

namespace insula::insulactl {

namespace v1 = ::insula::registry::v1;

struct WatchedChange {
  int64_t revision = 0;
  resources::ObjectKey key;
  std::optional<v1::Object> object;  // None: it was deleted.
};

// Follows one watch over all its streams: a change is told once, and none is
// missed, also if a stream begins anew with a snapshot of what there is.
class WatchState {
 public:
  // `initial`: what there is at the start is told as changes too.
  explicit WatchState(bool initial) : tell_(initial) {}

  // Takes a message; the changes in it, in their order. Those of a snapshot
  // come with its end.
  std::vector<WatchedChange> Take(const v1::WatchResponse& response);

  // Where the next stream has to begin.
  int64_t revision() const { return revision_; }
  const std::string& epoch() const { return epoch_; }

  // Whether the last message began a snapshot though there had been one:
  // changes between it and what was known may have been told as one.
  bool started_over() const { return started_over_; }

 private:
  using Revisions = absl::flat_hash_map<resources::ObjectKey, int64_t>;

  std::vector<WatchedChange> EndSnapshot(int64_t revision);

  bool tell_;
  int64_t revision_ = 0;
  std::string epoch_;
  bool started_over_ = false;
  Revisions known_;
  bool has_snapshot_ = false;
  // While a snapshot is being taken.
  bool new_epoch_ = false;
  Revisions next_;
  std::vector<WatchedChange> changes_;
};

}  // namespace insula::insulactl
