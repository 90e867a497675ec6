// Replicas of one store: how they fare, and which one is asked next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/http/url.h"
#include "libs/sync/mutex.h"
#include "libs/time/backoff.h"
#include "libs/time/clock.h"

namespace insula::backend_pool {

enum class Mode {
  // The better of two that chance chooses: the one with fewer requests open.
  kBalanced,
  // The first, in their order, that is well.
  kActivePassive,
};

// A replica is out after `max_failures` requests in a row that it did not
// answer, for a while that doubles; then one request tries it. It is also out
// after `max_failed_probes` probes in a row, until one succeeds. When all are
// out, the one that has been out of use for the shortest time to come is asked
// all the same: better than not to ask at all.
//
// Thread-safe. Held by a shared_ptr.
class ReplicaSet : public std::enable_shared_from_this<ReplicaSet> {
 private:
  struct Replica;

 public:
  struct Options {
    Mode mode = Mode::kBalanced;
    int max_failures = 3;
    int max_failed_probes = 2;
    Backoff::Options ejection = {absl::Seconds(1), absl::Seconds(30)};
    size_t max_replicas = 1000;  // Further ones are left out.
  };

  // The use of a replica for one request. Ends when it is destroyed; without a
  // Note that says nothing about the replica.
  class Use {
   public:
    Use(Use&& other) noexcept
        : set_(std::move(other.set_)), replica_(std::move(other.replica_)) {}
    Use& operator=(Use&&) = delete;
    ~Use();
    const http::Url& url() const;
    // Whether the replica answered; anything of its own is an answer.
    void Note(bool answered);

   private:
    friend class ReplicaSet;
    Use(std::shared_ptr<ReplicaSet> set, std::shared_ptr<Replica> replica)
        : set_(std::move(set)), replica_(std::move(replica)) {}
    std::shared_ptr<ReplicaSet> set_;
    std::shared_ptr<Replica> replica_;
  };

  struct Status {
    std::string url;
    bool well = true;
    int open = 0;          // Requests.
    absl::Time last_seen;  // It answered; InfinitePast: it has not yet.
  };

  // `clock` never jumps, and outlives it.
  ReplicaSet(Options options, const Clock* clock);

  // These are the replicas from now on. What is known of those that stay is
  // kept; requests that are open at others go on.
  void Update(const std::vector<http::Url>& urls) ABSL_LOCKS_EXCLUDED(mutex_);

  // A replica for the next request. One of `tried`, by Url::ToString(), only if
  // there is no other. Nullopt: there are none at all.
  std::optional<Use> Pick(const std::vector<std::string>& tried)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // What a probe of `url` has shown.
  void NoteProbe(absl::string_view url, bool ok) ABSL_LOCKS_EXCLUDED(mutex_);

  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<http::Url> Urls() const ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<Status> Statuses() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Replicas = std::vector<std::shared_ptr<Replica>>;

  bool IsWell(const Replica& replica) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<Replica> Choose(const Replicas& among)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Note(Replica* replica, bool answered) ABSL_LOCKS_EXCLUDED(mutex_);
  void End(Replica* replica) ABSL_LOCKS_EXCLUDED(mutex_);

  const Options options_;
  const Clock& clock_;
  mutable sync::Mutex mutex_;
  Replicas replicas_ ABSL_GUARDED_BY(mutex_);
  std::minstd_rand random_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::backend_pool
