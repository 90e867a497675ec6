// What a follower of the registry knows, and which of the registry's messages
// it believes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/tenancy/snapshot.h"

namespace insula::registry_client {

// Turns the messages of Watch streams into snapshots. Not thread-safe.
//
// Deltas gather in a builder until Publish(), so that a burst of them costs one
// snapshot. A snapshot of the registry becomes visible at its end, as a whole.
class WatchState {
 public:
  // Why a message was refused. What was held before stays.
  enum class Refusal {
    kNone,
    kOlderRevision,  // Of the same epoch, lower than what is held.
    kOtherEpoch,
    kEmpty,       // Nothing, while something is held.
    kIncomplete,  // Not as many objects as announced.
    kOutOfOrder,  // A message that can't come here.
    kDiverged,    // After it, not the objects are held that should be.
  };
  static constexpr int kRefusals = 7;
  // "older_revision", for a metric.
  static absl::string_view Name(Refusal refusal);

  struct Result {
    Refusal refusal = Refusal::kNone;
    std::string message = "";  // What was refused, and the cure.
    bool replaced = false;     // A whole snapshot was taken.
  };

  // Starts with `held`, which may be empty; never null.
  WatchState(std::shared_ptr<const tenancy::Snapshot> held,
             bool accept_new_epoch)
      : held_(std::move(held)), accept_new_epoch_(accept_new_epoch) {}

  // A new stream begins; what an old one left half done is forgotten.
  void BeginStream() { incoming_ = nullptr; }

  // Takes the next message. After a refusal the stream is to be ended.
  Result Take(const registry::v1::WatchResponse& message);

  // Whether Publish() would return something new.
  bool has_changes() const { return pending_ != nullptr || replaced_; }
  // The copy at revision().
  std::shared_ptr<const tenancy::Snapshot> Publish();

  bool holds_something() const { return !held_->epoch().empty(); }
  // Up to where everything was taken, published or not.
  int64_t revision() const {
    return pending_ == nullptr ? held_->revision() : pending_revision_;
  }
  const std::string& epoch() const { return held_->epoch(); }

  // Puts and deletes so far, and puts of kinds that are not known.
  int64_t changes() const { return changes_; }
  int64_t skipped() const { return skipped_; }

  // Objects that were sent but are not usable, and why; of these the old copy
  // is held, if there was one. By kind and id.
  using Key = std::pair<int, std::string>;
  struct Rejection {
    std::string reason;
    int64_t mod_revision = 0;  // Of what was sent.
  };
  using Rejections = std::map<Key, Rejection>;
  const Rejections& rejections() const { return rejections_; }
  registry::v1::Ack MakeAck() const;

 private:
  // A snapshot that is on its way.
  struct Incoming {
    tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
    std::string epoch;
    int64_t revision = 0;
    int64_t objects = 0;
    Rejections rejections;
  };

  Result Reset(const registry::v1::WatchResponse& message);
  Result SnapshotPart(const registry::v1::WatchResponse& message);
  Result SnapshotEnd(const registry::v1::WatchResponse& message);
  Result Delta(const registry::v1::WatchResponse& message);

  // Why a copy of that epoch and revision can't follow what is held.
  Result CheckFollows(absl::string_view epoch, int64_t revision) const;

  std::shared_ptr<const tenancy::Snapshot> held_;
  const bool accept_new_epoch_;
  bool replaced_ = false;  // held_ is not published yet.
  std::unique_ptr<tenancy::SnapshotBuilder> pending_;
  int64_t pending_revision_ = 0;
  std::unique_ptr<Incoming> incoming_;
  Rejections rejections_;
  int64_t changes_ = 0;
  int64_t skipped_ = 0;
};

}  // namespace insula::registry_client
