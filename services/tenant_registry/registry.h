// The registry itself: objects in memory over a durable store, changed by one
// writer, followed by many watchers.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/audit/audit_log.h"
#include "libs/runtime/blocking_pool.h"
#include "libs/sync/mutex.h"
#include "libs/tenancy/fact.h"
#include "libs/time/clock.h"
#include "services/tenant_registry/draft.h"
#include "services/tenant_registry/leases.h"
#include "services/tenant_registry/metrics.h"
#include "services/tenant_registry/planner.h"
#include "services/tenant_registry/state.h"
#include "services/tenant_registry/store.h"
#include "services/tenant_registry/watch_hub.h"

namespace insula::tenant_registry {

struct RegistryOptions {
  // Changes from which a Watch can resume: so many, and not older ones.
  int64_t keep_changes = 100'000;
  absl::Duration keep_changes_for = absl::Hours(24);
  absl::Duration keep_audit_for = absl::Hours(24 * 90);
  absl::Duration deletion_grace = absl::Minutes(10);  // Of tenants.
  // What former tenants were known by in stores: so long, and of so many. 0:
  // not at all.
  absl::Duration retire_identities_for = absl::Hours(24 * 365 * 5);
  int64_t max_retired_identities = 100'000;
  absl::Duration lease_ttl = absl::Seconds(12);
  // Where backups are put together, one at a time.
  std::string backup_path;
  // Applies that may wait for the writer: so many, and of so many bytes.
  int apply_queue = 1000;
  size_t apply_queue_bytes = 64 << 20;
  int watch_queue = 4096;  // Changes that may wait for a watcher.
  int max_watchers = 10'000;
};

// Thread-safe. Held by shared_ptr, since a change once begun is finished even
// if its caller is gone.
class Registry : public std::enable_shared_from_this<Registry> {
 public:
  // Everything the registry works with; outlives it.
  struct Environment {
    boost::asio::any_io_executor executor;
    runtime::BlockingPool* blocking = nullptr;
    const Clock* clock = nullptr;
    metrics::Registry* metrics = nullptr;
    // Of any origin, but it never jumps.
    const Clock* steady = SteadyClock::Get();
    // Hears of changes once they are stored. May be null.
    audit::AuditLog* audit = nullptr;
  };

  // Loads all objects. Blocks. DATA_LOSS if the store can't be right.
  static absl::StatusOr<std::shared_ptr<Registry>> Open(
      std::unique_ptr<Store> store, RegistryOptions options,
      Environment environment);

  // Checks a request by itself, as Apply does at last, and counts one that is
  // refused: what is not fit to be queued is not even copied.
  absl::Status CheckFit(const v1::ApplyRequest& request);

  // Makes a change, durable when this returns, and returns its revision.
  // Changes are made in the order of the calls, each at a revision of its own;
  // those that wait together become durable together. RESOURCE_EXHAUSTED: too
  // many wait. Errors as of TenantRegistry.Apply; those of the store mean that
  // nothing changed.
  boost::asio::awaitable<absl::StatusOr<int64_t>> Apply(ApplyCommand command);

  absl::StatusOr<v1::GetResponse> Get(const v1::ObjectRef& ref) const;
  absl::StatusOr<v1::ListResponse> List(const v1::ListRequest& request) const;
  boost::asio::awaitable<absl::StatusOr<v1::ListAuditResponse>> ListAudit(
      v1::ListAuditRequest request);
  v1::StatusResponse Status() const;
  // Errors as of TenantRegistry.Resolve, and RESOURCE_EXHAUSTED if too much
  // waits for the blocking pool.
  boost::asio::awaitable<absl::StatusOr<v1::ResolveResponse>> Resolve(
      v1::ResolveRequest request);

  // All objects at one revision, in the order of kind and id.
  struct View {
    int64_t revision = 0;
    std::vector<ObjectPtr> objects;
    SetDigestPtr digest;
  };
  std::shared_ptr<const View> CurrentView() const;

  // The objects of a kind, in the order of their ids.
  std::vector<ObjectPtr> ObjectsOf(v1::Kind kind) const;

  // The bindings that have these facts; each fact has one at most.
  std::vector<ObjectPtr> HoldersOf(
      const std::vector<tenancy::FactKey>& facts) const;

  // Whether a tenant other than the one of `uid` was known to stores by
  // `identity`, or may have had series that overlap.
  bool IsRetired(const StoreIdentity& identity, absl::string_view uid) const;

  // The sources of files that are read; see State::SetFiles.
  void SetFiles(std::set<std::string> sources);

  // Whether `source` alone may change what it keeps: files do so only as long
  // as they are read.
  bool Keeps(const std::string& source) const;

  // Calls `listener` after each change, in their order, until it returns false.
  // It must be quick, and must not call the registry.
  using Listener = std::function<bool(const Change& change)>;
  void AddListener(Listener listener);

  // Deletes a tenant that is DELETING without waiting for its time, and before
  // it what refers to it, as at the end of that time. OK if it is not DELETING.
  boost::asio::awaitable<absl::Status> RemoveTenant(std::string id);

  // How a watch begins.
  struct Subscription {
    std::shared_ptr<Watcher> watcher;
    // Set: send this first. Unset: send the changes after `resume_revision`, up
    // to `revision`. The watcher has all later ones.
    std::shared_ptr<const View> snapshot;
    int64_t resume_revision = 0;
    int64_t revision = 0;
    std::string epoch;
  };
  // INVALID_ARGUMENT, RESOURCE_EXHAUSTED. `strand` is that of the caller, who
  // calls Unsubscribe in the end; `peer` is its address.
  absl::StatusOr<Subscription> Subscribe(const v1::Subscribe& request,
                                         std::string peer,
                                         boost::asio::any_io_executor strand);
  void Unsubscribe(const std::shared_ptr<Watcher>& watcher);

  // The oldest changes after `revision`, for a watch that resumes.
  boost::asio::awaitable<absl::StatusOr<std::vector<Change>>> ChangesAfter(
      int64_t revision, int limit);

  // The log can't be read: watches that resume before `revision` begin anew
  // until the next start.
  void DistrustLog(int64_t revision, const absl::Status& why);

  // As of TenantRegistry.
  boost::asio::awaitable<absl::StatusOr<v1::RenewLeaseResponse>> RenewLease(
      v1::RenewLeaseRequest request, std::string actor);
  boost::asio::awaitable<absl::Status> EndLease(v1::EndLeaseRequest request,
                                                std::string actor);

  // A copy of the store, gone when this is. One at a time.
  struct BackupFile {
    ~BackupFile();
    std::shared_ptr<Registry> registry;
    std::string path;
    int64_t revision = 0;
    int64_t bytes = 0;
  };
  boost::asio::awaitable<absl::StatusOr<std::shared_ptr<BackupFile>>> Backup();

  // Runs `work` where it may block.
  boost::asio::awaitable<absl::Status> RunBlocking(
      std::function<absl::Status()> work) {
    return environment_.blocking->Run(std::move(work));
  }

  // Ends the leases that have run out, and deletes the tenants whose time is
  // over. To be called once a second.
  boost::asio::awaitable<void> Tick();

  // Drops what is kept for too long. To be called now and then.
  boost::asio::awaitable<void> Maintain();

  int64_t revision() const;
  const std::string& epoch() const { return epoch_; }
  Metrics& metrics() { return metrics_; }
  const Clock& clock() const { return *environment_.clock; }

  // Ends all watches, so that a server can drain.
  void CloseWatches();

  // Waits for the changes that were begun. Blocks; nobody calls Apply any more.
  void Finish();

 private:
  struct Pending;
  struct Group;

  Registry(std::unique_ptr<Store> store, RegistryOptions options,
           Environment environment);

  std::shared_ptr<const View> ViewLocked() const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  boost::asio::awaitable<void> WriteLoop();
  std::vector<std::shared_ptr<Pending>> NextGroup();
  void WriteGroup(Group* group);
  Draft NewDraft() const;
  absl::StatusOr<int64_t> PlanOne(const ApplyCommand& command, Draft* draft,
                                  Group* group);
  absl::StatusOr<std::optional<int64_t>> FindAnswer(
      const Store::Request& request, const Group& group);
  void Publish(const std::vector<Store::Entry>& entries, absl::Time now);

  ObjectPtr Find(const ObjectKey& key) const;
  boost::asio::awaitable<void> ExpireLeases();
  boost::asio::awaitable<void> RemoveTenants();
  std::vector<std::string> TenantsDue() const;

  void CompactIfDue();
  void CompactByAge();
  void CompactAudit();
  void ForgetRetired();
  void Compact(int64_t target);
  void CompactionFailed(const absl::Status& status);

  const std::unique_ptr<Store> store_;
  const RegistryOptions options_;
  const Environment environment_;
  Metrics metrics_;
  std::string epoch_;

  WatchHub hub_;

  // Writes are planned under the mutex, by the one writer; only it changes the
  // state, so that it may let go of the mutex while the store syncs.
  mutable sync::Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_);
  int64_t compacted_revision_ ABSL_GUARDED_BY(mutex_) = 0;
  // Up to here the log can't be read.
  int64_t log_begin_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable std::weak_ptr<const View> view_ ABSL_GUARDED_BY(mutex_);
  std::vector<Listener> listeners_ ABSL_GUARDED_BY(mutex_);

  sync::Mutex leases_mutex_;
  Leases leases_ ABSL_GUARDED_BY(leases_mutex_);

  sync::Mutex queue_mutex_;
  std::deque<std::shared_ptr<Pending>> queue_ ABSL_GUARDED_BY(queue_mutex_);
  size_t queue_bytes_ ABSL_GUARDED_BY(queue_mutex_) = 0;
  bool writing_ ABSL_GUARDED_BY(queue_mutex_) = false;
  std::condition_variable_any idle_;  // writing_ has become false.

  std::atomic<bool> backing_up_ = false;

  metrics::CollectHook behind_hook_;  // Last: it reads hub_.
};

}  // namespace insula::tenant_registry
