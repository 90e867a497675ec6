// Hands each change to everyone who watches, without ever waiting for them.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/sync/mutex.h"
#include "libs/tenancy/set_digest.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {

using SetDigestPtr = std::shared_ptr<const tenancy::SetDigest>;

// A change, and the set of objects after it.
struct Published {
  ChangePtr change;
  SetDigestPtr digest;
  absl::Time at;
};

// One open Watch: the changes that its client has yet to get, and what the
// client said about those it got. Thread-safe, but for Wait and Delay.
class Watcher : public std::enable_shared_from_this<Watcher> {
 public:
  // Who watches what, from when on.
  struct Options {
    std::string client_id;
    std::string peer;           // Its address.
    std::set<v1::Kind> kinds;   // None: all.
    int64_t revision = 0;       // That the watch begins with.
    int64_t held_revision = 0;  // That the client has and goes on from.
    SetDigestPtr digest;        // Of the objects at that revision.
    size_t queue_limit = 1;
    absl::Time now;
  };
  // `executor` is the strand of the coroutine that waits.
  Watcher(boost::asio::any_io_executor executor, Options options);

  bool Wants(v1::Kind kind) const {
    return options_.kinds.empty() || options_.kinds.contains(kind);
  }
  const std::set<v1::Kind>& kinds() const { return options_.kinds; }
  const std::string& client_id() const { return options_.client_id; }

  struct Taken {
    std::vector<ChangePtr> changes;
    int64_t revision = 0;  // Everything up to here has been taken.
    SetDigestPtr digest;   // Of the objects at that revision.
    // Not OK: the watch must end so. RESOURCE_EXHAUSTED: the queue ran over.
    absl::Status end;
  };
  // What has come since the last call.
  Taken Take() ABSL_LOCKS_EXCLUDED(mutex_);
  // Taken::end, and nothing is taken.
  absl::Status end() const ABSL_LOCKS_EXCLUDED(mutex_) {
    sync::MutexLock lock(&mutex_);
    return end_;
  }

  // Waits until there is something to take, at most for so long. True: nothing
  // came. On the strand.
  boost::asio::awaitable<bool> Wait(absl::Duration timeout);

  // Waits so long, or until the watch must end. On the strand.
  boost::asio::awaitable<void> Delay(absl::Duration timeout);

  // The client has taken everything up to a revision, but for some objects.
  void Acknowledge(const v1::Ack& ack, absl::Time now)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // All of a Follower but `behind`, and the last revision that it wants.
  struct Description {
    v1::Follower follower;
    int64_t wanted_revision = 0;
  };
  Description Describe() const ABSL_LOCKS_EXCLUDED(mutex_);

  // A change has happened, and will be pushed before long.
  void Announce(const Published& published) ABSL_LOCKS_EXCLUDED(mutex_);

  // Changes that have happened. Those that the watch began with are skipped.
  void Push(const std::vector<Published>& changes) ABSL_LOCKS_EXCLUDED(mutex_);

  // The watch must end.
  void End(absl::Status status) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  bool WantsOneOf(const Change& change) const;
  void PushLocked(const Published& published)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndLocked(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Notify() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;

  // Of the strand.
  boost::asio::steady_timer wake_;
  boost::asio::steady_timer delay_;

  mutable sync::Mutex mutex_;
  std::deque<ChangePtr> queue_ ABSL_GUARDED_BY(mutex_);
  int64_t revision_ ABSL_GUARDED_BY(mutex_);
  SetDigestPtr digest_ ABSL_GUARDED_BY(mutex_);
  int64_t wanted_revision_ ABSL_GUARDED_BY(mutex_);
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
  bool notified_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t acked_revision_ ABSL_GUARDED_BY(mutex_);
  absl::Time acked_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  // Present ones; those past kMaxRejections are left out.
  std::map<ObjectKey, std::string> rejections_ ABSL_GUARDED_BY(mutex_);
};

// All open watches. Thread-safe.
//
// A message to everyone costs time for each of them. So where many watch,
// changes that come fast are handed on together: all get the same messages
// then, and no more of them than they can take.
class WatchHub {
 public:
  // RESOURCE_EXHAUSTED: `limit` watches are open. UNAVAILABLE: closed.
  absl::Status Add(const std::shared_ptr<Watcher>& watcher, size_t limit)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(const std::shared_ptr<Watcher>& watcher)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes changes in, and hands them on at once; or, if it returns a time, it
  // expects Release() after that. Nullopt: it does not. `now` is of a clock
  // that never jumps.
  std::optional<absl::Duration> Publish(std::vector<Published> changes,
                                        absl::Time now)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Hands on what was held back.
  void Release(absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<v1::Follower> Followers(absl::Time now) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  // The largest `behind` of a follower.
  absl::Duration Behind(absl::Time now) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends all watches with UNAVAILABLE, and refuses further ones.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);
  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Moment {
    int64_t revision;
    absl::Time at;
  };

  absl::Duration BehindOf(const Watcher::Description& description,
                          absl::Time now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void ReleaseLocked(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable sync::Mutex mutex_;
  // Not handed on yet: not many, since they go into the watchers' queues.
  std::vector<Published> held_back_ ABSL_GUARDED_BY(mutex_);
  bool release_expected_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time released_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  std::deque<Moment> recent_ ABSL_GUARDED_BY(mutex_);  // Ascending.
  std::set<std::shared_ptr<Watcher>> watchers_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace insula::tenant_registry
