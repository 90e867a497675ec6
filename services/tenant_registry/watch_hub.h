// Hands each change to everyone who watches, without ever waiting for them.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/sync/mutex.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {

// One open Watch: the changes that its client has yet to get, and what the
// client said about those it got. Thread-safe, but for Wait and Delay.
class Watcher : public std::enable_shared_from_this<Watcher> {
 public:
  // `executor` is the strand of the coroutine that waits. No `kinds`: all.
  Watcher(boost::asio::any_io_executor executor, std::string client_id,
          std::set<v1::Kind> kinds, int64_t revision, size_t queue_limit);

  bool Wants(v1::Kind kind) const {
    return kinds_.empty() || kinds_.contains(kind);
  }
  const std::string& client_id() const { return client_id_; }

  struct Taken {
    std::vector<ChangePtr> changes;
    int64_t revision = 0;  // Everything up to here has been taken.
    // Not OK: the watch must end so. RESOURCE_EXHAUSTED: the queue ran over.
    absl::Status end;
  };
  // What has come since the last call.
  Taken Take() ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits until there is something to take, at most for so long. On the strand.
  boost::asio::awaitable<void> Wait(absl::Duration timeout);

  // Waits so long, or until the watch must end. On the strand.
  boost::asio::awaitable<void> Delay(absl::Duration timeout);

  // The client has taken everything up to a revision, but for some objects.
  void Acknowledge(const v1::Ack& ack) ABSL_LOCKS_EXCLUDED(mutex_);
  v1::Follower Describe() const ABSL_LOCKS_EXCLUDED(mutex_);

  // A change has happened.
  void Push(const ChangePtr& change) ABSL_LOCKS_EXCLUDED(mutex_);

  // The watch must end.
  void End(absl::Status status) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void EndLocked(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Notify() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string client_id_;
  const std::set<v1::Kind> kinds_;
  const size_t queue_limit_;

  // Of the strand.
  boost::asio::steady_timer wake_;
  boost::asio::steady_timer delay_;

  mutable sync::Mutex mutex_;
  std::deque<ChangePtr> queue_ ABSL_GUARDED_BY(mutex_);
  int64_t revision_ ABSL_GUARDED_BY(mutex_);
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
  bool notified_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t acked_revision_ ABSL_GUARDED_BY(mutex_) = 0;
  // Present ones; those past kMaxRejections are left out.
  std::map<ObjectKey, std::string> rejections_ ABSL_GUARDED_BY(mutex_);
};

// All open watches. Thread-safe.
class WatchHub {
 public:
  // RESOURCE_EXHAUSTED: `limit` watches are open. UNAVAILABLE: closed.
  absl::Status Add(const std::shared_ptr<Watcher>& watcher, size_t limit)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(const std::shared_ptr<Watcher>& watcher)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Publish(const ChangePtr& change) ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<v1::Follower> Followers() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends all watches with UNAVAILABLE, and refuses further ones.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);
  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable sync::Mutex mutex_;
  std::set<std::shared_ptr<Watcher>> watchers_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace insula::tenant_registry
