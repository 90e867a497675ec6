// The inside of a Spool.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "libs/spool/directory.h"
#include "libs/spool/queue_index.h"
#include "libs/spool/spool.h"
#include "libs/spool/spool_metrics.h"
#include "libs/spool/store.h"
#include "libs/sync/mutex.h"

namespace insula::spool {

// Two threads: the committer writes and syncs what was appended; the keeper
// runs Tend().
//
// Lock order: tend_mutex_, store_mutex_, mutex_. Who changes the index and the
// store holds store_mutex_ shared over both, so that opening the store anew,
// which reads the index from it, sees both or neither.
class Spool::Impl {
 public:
  Impl(Options options, const Clock* clock, metrics::Registry* registry,
       std::unique_ptr<Directory> directory);
  ~Impl();

  absl::Status Start();

  void Append(Record record, Quota quota,
              std::function<void(absl::Status)> done)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<std::vector<Stored>> Read(absl::string_view uid,
                                           uint64_t max_bytes)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // `reason` null: delivered.
  absl::Status Remove(absl::string_view uid, uint64_t through,
                      const Drop* reason) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status DropTenant(absl::string_view uid) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Writable() const ABSL_LOCKS_EXCLUDED(mutex_);
  bool HasBacklog(absl::string_view uid) const ABSL_LOCKS_EXCLUDED(mutex_);
  std::optional<Backlog> BacklogOf(absl::string_view uid) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<Backlog> Backlogs() const ABSL_LOCKS_EXCLUDED(mutex_);
  void Tend() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // The wall clock, as if it had not jumped since the start.
  absl::Time Now() const { return options_.steady_clock->Now() + ahead_; }

  // An Append() that waits for the disk.
  struct Waiting {
    Record record;
    uint64_t bytes = 0;
    std::vector<std::string> removed_keys;  // To make room for it.
    std::function<void(absl::Status)> done;
  };

  // Room for `bytes` of the tenant, or why there is none. May drop its oldest;
  // their keys go to `removed_keys`.
  absl::Status MakeRoom(absl::string_view uid, uint64_t bytes, Quota quota,
                        std::vector<std::string>* removed_keys)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Refuse(const Waiting& waiting, Quota quota,
                      std::vector<std::string>* removed_keys)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void RunCommitter() ABSL_LOCKS_EXCLUDED(mutex_);
  // Empty: it is time to end.
  std::vector<Waiting> AwaitGroup() ABSL_NO_THREAD_SAFETY_ANALYSIS;
  absl::Status Commit(const std::vector<Waiting>& group)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Takes the tenant's damaged records out.
  void DropDamaged(absl::string_view uid,
                   const std::vector<uint64_t>& sequences)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Writes the removal of places that are out of the index already; with
  // store_mutex_ held shared.
  absl::Status WriteRemoval(absl::string_view uid,
                            const std::vector<Place>& places)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void NoteFailure(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);
  void CountDropped(Drop reason, const std::vector<Place>& places);

  void RunKeeper() ABSL_NO_THREAD_SAFETY_ANALYSIS;
  void CheckSpace() ABSL_LOCKS_EXCLUDED(mutex_);
  void DropOld() ABSL_LOCKS_EXCLUDED(mutex_);
  void ReclaimIfWorth() ABSL_LOCKS_EXCLUDED(mutex_);
  // Opens the store, the first time or again, and reads the index. With
  // store_mutex_ held.
  absl::Status OpenStore() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status OpenSoundStore(QueueIndex* index, uint64_t* last_sequence);
  // Puts into the store what is sound of another.
  absl::Status TakeOver(const std::string& damaged);
  absl::Status LoadIndex(QueueIndex* index, uint64_t* last_sequence);
  void UpdateGauges() ABSL_LOCKS_EXCLUDED(mutex_);

  const Options options_;
  const Clock* const clock_;
  const absl::Duration ahead_;  // The wall clock of the steady one, at first.
  SpoolMetrics metrics_;
  const std::unique_ptr<Directory> directory_;

  sync::Mutex tend_mutex_;
  std::shared_mutex store_mutex_;
  std::unique_ptr<Store> store_;  // By store_mutex_. May be null.

  mutable sync::Mutex mutex_;
  std::condition_variable_any to_commit_;
  std::condition_variable_any to_tend_;
  QueueIndex index_ ABSL_GUARDED_BY(mutex_);
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  uint64_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_sequence_ ABSL_GUARDED_BY(mutex_) = 1;
  // Of records that are gone, since the last Reclaim().
  uint64_t dead_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);  // Of the store.
  absl::Status space_ ABSL_GUARDED_BY(mutex_);    // Not OK: too little is free.
  // Removed while the store had failed, by tenant: up to where.
  absl::flat_hash_map<std::string, uint64_t> removed_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  metrics::CollectHook hook_;
  std::thread committer_;
  std::thread keeper_;
};

}  // namespace insula::spool
