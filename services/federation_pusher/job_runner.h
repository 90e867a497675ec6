// Runs the jobs of the registry, each at its times.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <condition_variable>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/metrics/metrics.h"
#include "libs/sync/mutex.h"
#include "libs/tenancy/snapshot.h"
#include "libs/time/clock.h"
#include "services/federation_pusher/gate.h"
#include "services/federation_pusher/metrics.h"
#include "services/federation_pusher/one_shot.h"
#include "services/federation_pusher/run.h"

namespace insula::federation_pusher {

struct JobStatus {
  std::string job_id;
  std::string tenant_id;
  std::optional<RunReport> last_run;
  int64_t runs = 0;  // Since the job is known to this process.
  int64_t failed_runs = 0;
};

// A job runs at its interval, at a place in it that depends on its id alone,
// and never twice at the same time. At most `max_parallel` jobs run at the same
// time; others wait in the order they came due, and do not catch up on the
// turns that passed meanwhile. A run of a job that is changed or deleted is cut
// short. Thread-safe.
class JobRunner {
 public:
  // Runs a job and fills the counts of `*run`. Cancelled to cut it short. Runs
  // on a strand of the job.
  using Execute = std::function<boost::asio::awaitable<absl::Status>(
      std::shared_ptr<const tenancy::Snapshot> snapshot,
      std::shared_ptr<const tenancy::Job> job, RunReport* run)>;

  // `clock` and `metrics` (of `registry`) outlive this; `executor` runs until
  // it is destroyed.
  JobRunner(int max_parallel, Execute execute,
            boost::asio::any_io_executor executor, const Clock* clock,
            Metrics* metrics, metrics::Registry* registry);
  // Drains without patience. No one may be in RunNow.
  ~JobRunner();
  JobRunner(const JobRunner&) = delete;
  JobRunner& operator=(const JobRunner&) = delete;

  // Takes over the jobs of `snapshot`: starts new ones, ends deleted ones, does
  // both with changed ones, and leaves the others alone.
  void Update(std::shared_ptr<const tenancy::Snapshot> snapshot)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // All jobs by their ids. UNAVAILABLE before the first snapshot with a
  // content.
  absl::StatusOr<std::vector<JobStatus>> List() ABSL_LOCKS_EXCLUDED(mutex_);

  // The tenant of a job; empty if there is no such job.
  std::string TenantOf(absl::string_view job_id) ABSL_LOCKS_EXCLUDED(mutex_);

  // Runs the job now, or takes part in the run that goes on, and returns how it
  // ended. The run goes on if the caller is cancelled. NOT_FOUND, or
  // UNAVAILABLE before the first snapshot and from Drain() on. The caller runs
  // on a strand.
  boost::asio::awaitable<absl::StatusOr<RunReport>> RunNow(std::string job_id);

  // Starts no more runs and waits for those that go on; cuts short what is left
  // after `timeout`. Blocks; not on the executor.
  void Drain(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Record;
  struct Worker;
  using WorkerPtr = std::shared_ptr<Worker>;
  using Ticket = std::shared_ptr<OneShot<RunReport>>;

  // Starts a worker for `job` unless there is one for the very same.
  void Replace(const tenancy::Job& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Stop(const WorkerPtr& worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // The life of a worker, on its strand. Ends by an exception when stopped.
  void Start(const WorkerPtr& worker);
  boost::asio::awaitable<void> Loop(WorkerPtr worker);
  void Ended(const WorkerPtr& worker, const std::exception_ptr& error)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits for `due` (false) or a call of RunNow (true).
  boost::asio::awaitable<bool> AwaitTurn(Worker* worker, absl::Time due);
  bool TakeTurn(Worker* worker, bool is_due) ABSL_LOCKS_EXCLUDED(mutex_);
  // False when the worker is to end.
  boost::asio::awaitable<bool> RunOnce(Worker* worker);
  // Null when no run may start any more.
  std::shared_ptr<const tenancy::Snapshot> BeginRun(Worker* worker)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // False when the worker is to end.
  bool EndRun(Worker* worker, const absl::Status& status, RunReport run)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The next run of the job, or the one that goes on; hurries it.
  absl::StatusOr<Ticket> Kick(absl::string_view job_id)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void UpdateGauges() ABSL_LOCKS_EXCLUDED(mutex_);

  const Execute execute_;
  const boost::asio::any_io_executor executor_;
  const Clock* const clock_;
  Metrics* const metrics_;
  Gate gate_;

  sync::Mutex mutex_;
  std::condition_variable_any ended_;
  std::shared_ptr<const tenancy::Snapshot> snapshot_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, WorkerPtr, std::less<>> workers_
      ABSL_GUARDED_BY(mutex_);
  int alive_ ABSL_GUARDED_BY(mutex_) = 0;  // Workers, also those that end.
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;

  metrics::CollectHook collect_;  // Ends first.
};

}  // namespace insula::federation_pusher
