// The messages of watches, made once for all who get the same.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/sync/mutex.h"
#include "libs/tenancy/set_digest.h"
#include "services/tenant_registry/object.h"
#include "services/tenant_registry/registry.h"

namespace insula::tenant_registry {

// The fewest DELTAs for consecutive changes, of about `max_bytes` each: of
// several changes of an object the last one counts. `wants` chooses the kinds.
std::vector<v1::WatchResponse> MergeChanges(
    const std::vector<ChangePtr>& changes,
    const std::function<bool(v1::Kind)>& wants, size_t max_bytes);

// A message as it goes over the wire. Copies of it share their bytes.
grpc::ByteBuffer Encode(const v1::WatchResponse& response);

// The objects of one view, of some kinds, as SNAPSHOTs. They are made as they
// are asked for and, while there is room, kept for whoever asks next.
// Thread-safe.
class EncodedSnapshot {
 public:
  // How many bytes all that there are keep together.
  using Kept = std::shared_ptr<std::atomic<size_t>>;

  // `kinds`: none stands for all.
  EncodedSnapshot(std::shared_ptr<const Registry::View> view,
                  std::set<v1::Kind> kinds, const std::string& epoch,
                  size_t max_message_bytes, Kept kept);
  ~EncodedSnapshot() { *all_kept_ -= kept_bytes_; }
  EncodedSnapshot(const EncodedSnapshot&) = delete;
  EncodedSnapshot& operator=(const EncodedSnapshot&) = delete;

  struct Message {
    int64_t objects = 0;  // 0: there are no further messages.
    grpc::ByteBuffer bytes;
  };
  // The message number `index`, from 0 on.
  Message Get(size_t index) ABSL_LOCKS_EXCLUDED(mutex_);

  const Registry::View& view() const { return *view_; }
  const std::set<v1::Kind>& kinds() const { return kinds_; }

 private:
  struct Part {
    size_t begin = 0;  // Of the objects of the view.
    size_t end = 0;
    int64_t objects = 0;
    size_t bytes = 0;  // Of these objects.
    bool is_kept = false;
    grpc::ByteBuffer message;  // If it is kept.
  };
  bool Wants(size_t index) const;
  Part NextPart(size_t begin) const;
  grpc::ByteBuffer EncodePart(const Part& part) const;

  const std::shared_ptr<const Registry::View> view_;
  const std::set<v1::Kind> kinds_;
  v1::WatchResponse head_;  // All but the objects. Never changes.
  const size_t max_message_bytes_;
  const Kept all_kept_;

  sync::Mutex mutex_;
  std::vector<Part> parts_ ABSL_GUARDED_BY(mutex_);
  size_t kept_bytes_ = 0;  // Guarded by mutex_, until the end.
};

// Thread-safe.
class WatchEncoder {
 public:
  explicit WatchEncoder(size_t max_message_bytes)
      : max_message_bytes_(max_message_bytes) {}

  // The snapshot of a view: the same one for all who want it at the same time.
  // `kinds`: none stands for all.
  std::shared_ptr<EncodedSnapshot> Snapshot(
      const std::shared_ptr<const Registry::View>& view,
      const std::set<v1::Kind>& kinds, const std::string& epoch)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // DELTAs, in the order that they are to be sent.
  // `digest`, if there is one, is of the objects after the last change, and the
  // changes are all that followers of these kinds get between the first and the
  // last one.
  using Messages = std::shared_ptr<const std::vector<grpc::ByteBuffer>>;
  Messages Deltas(const std::vector<ChangePtr>& changes,
                  const std::set<v1::Kind>& kinds,
                  const tenancy::SetDigest* digest, const std::string& epoch)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Kept {
    int64_t first = 0;
    int64_t last = 0;
    std::set<v1::Kind> kinds;
    size_t bytes = 0;
    Messages messages;
  };

  Messages Find(int64_t first, int64_t last, const std::set<v1::Kind>& kinds)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Keep(Kept kept) ABSL_LOCKS_EXCLUDED(mutex_);

  const size_t max_message_bytes_;
  const EncodedSnapshot::Kept kept_of_snapshots_ =
      std::make_shared<std::atomic<size_t>>(0);

  sync::Mutex mutex_;
  // Those of the latest view.
  std::vector<std::weak_ptr<EncodedSnapshot>> snapshots_
      ABSL_GUARDED_BY(mutex_);
  std::deque<Kept> kept_ ABSL_GUARDED_BY(mutex_);  // The newest one last.
  size_t kept_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Says what a client must hold, of the kinds that it follows; none: all.
void SetSet(const tenancy::SetDigest& digest, const std::set<v1::Kind>& kinds,
            v1::WatchResponse* response);

}  // namespace insula::tenant_registry
