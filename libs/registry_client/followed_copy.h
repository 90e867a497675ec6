// What one follower was told, to be held against what has happened.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/registry_client/registry_history.h"
#include "libs/tenancy/set_digest.h"

namespace insula::registry_client {

// A follower over all its streams: takes every message, says what to subscribe
// with next, and remembers all. Not thread-safe.
class FollowedCopy {
 public:
  // `kinds` as of Subscribe: none stands for all.
  FollowedCopy(std::string client_id, std::set<registry::v1::Kind> kinds)
      : client_id_(std::move(client_id)), kinds_(std::move(kinds)) {}

  // A new stream begins with this. What an old one left half done is forgotten.
  registry::v1::Subscribe BeginStream();
  void Take(const registry::v1::WatchResponse& message);

  // Everything up to here has come.
  int64_t revision() const { return revision_; }
  const std::string& epoch() const { return epoch_; }
  // Whole snapshots, changes of objects and digests that have come.
  int64_t resets() const { return resets_; }
  int64_t changes() const { return changes_; }
  int64_t digests() const { return digests_; }

  // DATA_LOSS unless each message brought exactly what had changed since the
  // one before it, no change missing, doubled, late or altered, and each digest
  // is that of the objects held.
  absl::Status Check(const History& history) const;

 private:
  // What one message, or one snapshot, said.
  struct Step {
    bool snapshot = false;
    int64_t revision = 0;
    std::string epoch;
    std::vector<std::pair<History::Key, History::Version>> items;
    std::vector<std::string> uids;  // Of the items; empty for deletions.
    std::optional<std::map<registry::v1::Kind, tenancy::SetDigest::Sum>> set;
    int64_t announced = -1;  // Objects of a snapshot.
    std::string fault;       // A message that can't come here.
  };
  class Checker;

  const std::string client_id_;
  const std::set<registry::v1::Kind> kinds_;
  std::vector<Step> steps_;
  std::optional<Step> incoming_;  // A snapshot that is on its way.
  int64_t revision_ = 0;
  std::string epoch_;
  int64_t resets_ = 0;
  int64_t changes_ = 0;
  int64_t digests_ = 0;
};

}  // namespace insula::registry_client
