#include "services/federation_pusher/job_runner.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cmath>
#include <mutex>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "libs/logging/logging.h"
#include "libs/status/status_macros.h"
#include "services/federation_pusher/schedule.h"

namespace insula::federation_pusher {
namespace {

namespace asio = boost::asio;
using google::protobuf::util::MessageDifferencer;

RunReport Interrupted(absl::Time now) {
  RunReport run;
  run.started_at = now;
  run.result = Result::kInterrupted;
  run.error =
      "the job was changed or deleted, or the service is shutting down: run it "
      "again";
  return run;
}

bool AreSame(const tenancy::Job& a, const tenancy::Job& b) {
  return a.uid == b.uid && MessageDifferencer::Equals(a.spec, b.spec);
}

// Says when a job begins to fail, fails otherwise than before, or recovers.
void LogChange(const tenancy::Job& job, Result before, const RunReport& run) {
  if (logging::Enabled(logging::Level::kDebug)) {
    logging::Debug("job ran", {{"job", job.id},
                               {"result", ResultName(run.result)},
                               {"samples", run.delivered_samples},
                               {"took", run.took}});
  }
  if (run.result == before) return;
  if (run.result == Result::kSuccess) {
    logging::Info("job succeeds again", {{"job", job.id}});
  } else {
    logging::Warn("job fails", {{"job", job.id},
                                {"tenant", job.spec.tenant_id()},
                                {"result", ResultName(run.result)},
                                {"err", run.error}});
  }
}

}  // namespace

// What is told of a job, whatever becomes of its spec. Guarded by mutex_.
struct JobRunner::Record {
  absl::Time good_since;  // The last success, or when the job became known.
  Result last_result = Result::kSuccess;
  std::optional<RunReport> last_run;
  int64_t runs = 0;
  int64_t failed_runs = 0;
};

// A job as it is at present.
struct JobRunner::Worker {
  Worker(const asio::any_io_executor& executor, const tenancy::Job& of,
         std::shared_ptr<Record> of_job, std::shared_ptr<OneShot<bool>> behind)
      : job(std::make_shared<const tenancy::Job>(of)),
        record(std::move(of_job)),
        after(std::move(behind)),
        strand(asio::make_strand(executor)),
        timer(strand) {}

  const std::shared_ptr<const tenancy::Job> job;
  const std::shared_ptr<Record> record;
  // The end of the worker whose job this one took over, or null.
  const std::shared_ptr<OneShot<bool>> after;
  const std::shared_ptr<OneShot<bool>> ended =
      std::make_shared<OneShot<bool>>();

  const asio::strand<asio::any_io_executor> strand;
  // Of the strand alone.
  asio::steady_timer timer;  // To the next turn.
  asio::cancellation_signal cancel;

  // Guarded by mutex_.
  enum class Phase { kIdle, kQueued, kRunning };
  Phase phase = Phase::kIdle;
  bool kicked = false;  // RunNow was called.
  bool stopped = false;
  Ticket ticket = std::make_shared<OneShot<RunReport>>();
};

JobRunner::JobRunner(int max_parallel, Execute execute,
                     asio::any_io_executor executor, const Clock* clock,
                     Metrics* metrics, metrics::Registry* registry)
    : execute_(std::move(execute)),
      executor_(std::move(executor)),
      clock_(clock),
      metrics_(metrics),
      gate_(max_parallel),
      collect_(registry->OnCollect([this] { UpdateGauges(); })) {}

JobRunner::~JobRunner() { Drain(absl::ZeroDuration()); }

void JobRunner::Update(std::shared_ptr<const tenancy::Snapshot> snapshot) {
  if (snapshot->revision() == 0 && snapshot->epoch().empty()) return;
  std::vector<const tenancy::Job*> jobs;
  absl::flat_hash_set<absl::string_view> ids;
  snapshot->ForEachJob([&](const tenancy::Job& job) {
    jobs.push_back(&job);
    ids.insert(job.id);
  });
  sync::MutexLock lock(&mutex_);
  if (draining_) return;
  for (const tenancy::Job* job : jobs) Replace(*job);
  for (auto it = workers_.begin(); it != workers_.end();) {
    if (ids.contains(it->first)) {
      ++it;
    } else {
      Stop(it->second);
      it = workers_.erase(it);
    }
  }
  snapshot_ = std::move(snapshot);
}

void JobRunner::Replace(const tenancy::Job& job) {
  WorkerPtr& place = workers_[job.id];
  if (place != nullptr && AreSame(*place->job, job)) return;
  std::shared_ptr<Record> record;
  std::shared_ptr<OneShot<bool>> after;
  if (place != nullptr) {
    if (place->job->uid == job.uid) record = place->record;
    after = place->ended;
    Stop(place);
  }
  if (record == nullptr) {
    record = std::make_shared<Record>();
    record->good_since = clock_->Now();
  }
  place = std::make_shared<Worker>(executor_, job, std::move(record),
                                   std::move(after));
  ++alive_;
  asio::post(place->strand, [this, worker = place] { Start(worker); });
}

void JobRunner::Stop(const WorkerPtr& worker) {
  worker->stopped = true;
  asio::post(worker->strand, [worker] {
    worker->cancel.emit(asio::cancellation_type::terminal);
  });
}

void JobRunner::Start(const WorkerPtr& worker) {
  asio::co_spawn(worker->strand, Loop(worker),
                 asio::bind_cancellation_slot(
                     worker->cancel.slot(),
                     [this, worker](const std::exception_ptr& error) {
                       Ended(worker, error);
                     }));
}

asio::awaitable<void> JobRunner::Loop(WorkerPtr worker) {
  // A job does not run twice at the same time, nor under two specs.
  if (worker->after != nullptr) co_await worker->after->Wait();
  const absl::Duration interval = TimingOf(worker->job->spec).interval;
  const absl::Duration offset = OffsetOf(worker->job->id, interval);
  absl::Time last = absl::InfinitePast();
  bool goes_on = true;
  while (goes_on) {
    const absl::Time due = NextRun(clock_->Now(), last, interval, offset);
    if (last != absl::InfinitePast() && due - last > 1.5 * interval) {
      metrics_->turns_missed.Increment(
          std::round(absl::FDivDuration(due - last, interval)) - 1);
    }
    const bool kicked = co_await AwaitTurn(worker.get(), due);
    if (!kicked) last = due;
    const Gate::Place place = co_await gate_.Enter();
    if (!place) co_return;
    goes_on = co_await RunOnce(worker.get());
  }
}

void JobRunner::Ended(const WorkerPtr& worker,
                      const std::exception_ptr& error) {
  Ticket ticket;
  bool stopped;
  {
    sync::MutexLock lock(&mutex_);
    ticket = worker->ticket;
    stopped = worker->stopped || draining_;
  }
  if (error != nullptr && !stopped) {
    logging::Error("a job ended by a bug and does not run any more",
                   {{"job", worker->job->id}});
  }
  ticket->Set(Interrupted(clock_->Now()));
  worker->ended->Set(true);
  // Behind this, the runner may be gone.
  sync::MutexLock lock(&mutex_);
  --alive_;
  ended_.notify_all();
}

asio::awaitable<bool> JobRunner::AwaitTurn(Worker* worker, absl::Time due) {
  worker->timer.expires_after(absl::ToChronoNanoseconds(due - clock_->Now()));
  while (!TakeTurn(worker, /*is_due=*/false)) {
    const auto [error] =
        co_await worker->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (!error) {
      TakeTurn(worker, /*is_due=*/true);
      co_return false;
    }
  }
  co_return true;
}

bool JobRunner::TakeTurn(Worker* worker, bool is_due) {
  sync::MutexLock lock(&mutex_);
  if (!is_due && !worker->kicked) return false;
  worker->kicked = false;
  worker->phase = Worker::Phase::kQueued;
  return true;
}

asio::awaitable<bool> JobRunner::RunOnce(Worker* worker) {
  std::shared_ptr<const tenancy::Snapshot> snapshot = BeginRun(worker);
  if (snapshot == nullptr) co_return false;
  RunReport run;
  run.started_at = clock_->Now();
  absl::Status status;
  try {
    status = co_await execute_(std::move(snapshot), worker->job, &run);
  } catch (const std::exception& error) {
    // So Asio says that the worker was stopped.
    status = Failure(Result::kInternal, error.what());
  }
  run.took = std::max(absl::ZeroDuration(), clock_->Now() - run.started_at);
  co_return EndRun(worker, status, std::move(run));
}

std::shared_ptr<const tenancy::Snapshot> JobRunner::BeginRun(Worker* worker) {
  sync::MutexLock lock(&mutex_);
  if (worker->stopped || draining_) return nullptr;
  worker->phase = Worker::Phase::kRunning;
  metrics_->running.Add(1);
  return snapshot_;
}

bool JobRunner::EndRun(Worker* worker, const absl::Status& status,
                       RunReport run) {
  Ticket ticket = std::make_shared<OneShot<RunReport>>();
  Result before;
  bool goes_on;
  {
    sync::MutexLock lock(&mutex_);
    run.result = ResultOf(status);
    run.error = std::string(status.message());
    if (!status.ok() && worker->stopped) {
      const RunReport interrupted = Interrupted(run.started_at);
      run.result = interrupted.result;
      run.error = interrupted.error;
    }
    Record& record = *worker->record;
    before = std::exchange(record.last_result, run.result);
    record.last_run = run;
    ++record.runs;
    if (status.ok()) {
      record.good_since = run.started_at + run.took;
    } else {
      ++record.failed_runs;
    }
    worker->phase = Worker::Phase::kIdle;
    ticket.swap(worker->ticket);
    goes_on = !worker->stopped && !draining_;
  }
  metrics_->running.Add(-1);
  metrics_->Runs(run.result).Increment();
  metrics_->run_seconds.Observe(absl::ToDoubleSeconds(run.took));
  LogChange(*worker->job, before, run);
  ticket->Set(std::move(run));
  return goes_on;
}

absl::StatusOr<std::vector<JobStatus>> JobRunner::List() {
  sync::MutexLock lock(&mutex_);
  if (snapshot_ == nullptr) {
    return absl::UnavailableError(
        "jobs are not known yet: the tenant-registry has not been reached "
        "since the start, try again");
  }
  std::vector<JobStatus> all;
  for (const auto& [id, worker] : workers_) {
    const Record& record = *worker->record;
    all.push_back({id, worker->job->spec.tenant_id(), record.last_run,
                   record.runs, record.failed_runs});
  }
  return all;
}

std::string JobRunner::TenantOf(absl::string_view job_id) {
  sync::MutexLock lock(&mutex_);
  const auto found = workers_.find(job_id);
  return found == workers_.end() ? std::string()
                                 : found->second->job->spec.tenant_id();
}

asio::awaitable<absl::StatusOr<RunReport>> JobRunner::RunNow(
    std::string job_id) {
  CO_ASSIGN_OR_RETURN(const Ticket ticket, Kick(job_id));
  const RunReport* const run = co_await ticket->Wait();
  if (run == nullptr) {
    co_return absl::CancelledError("the caller is gone; the run goes on");
  }
  co_return *run;
}

absl::StatusOr<JobRunner::Ticket> JobRunner::Kick(absl::string_view job_id) {
  sync::MutexLock lock(&mutex_);
  if (draining_) return absl::UnavailableError("shutting down");
  if (snapshot_ == nullptr) {
    return absl::UnavailableError(
        "jobs are not known yet: the tenant-registry has not been reached "
        "since the start, try again");
  }
  const auto found = workers_.find(job_id);
  if (found == workers_.end()) {
    return absl::NotFoundError(
        absl::StrCat("there is no job '", job_id,
                     "': create it in the registry, or see ListJobs"));
  }
  const WorkerPtr& worker = found->second;
  if (worker->phase == Worker::Phase::kIdle) {
    worker->kicked = true;
    asio::post(worker->strand, [worker] { worker->timer.cancel(); });
  }
  return worker->ticket;
}

void JobRunner::UpdateGauges() {
  sync::MutexLock lock(&mutex_);
  int failing = 0;
  absl::Time oldest = absl::InfiniteFuture();
  for (const auto& [id, worker] : workers_) {
    if (worker->record->last_result != Result::kSuccess) ++failing;
    oldest = std::min(oldest, worker->record->good_since);
  }
  metrics_->jobs.Set(static_cast<double>(workers_.size()));
  metrics_->jobs_failing.Set(failing);
  metrics_->oldest_success.Set(
      workers_.empty() ? 0 : absl::ToDoubleSeconds(oldest - absl::UnixEpoch()));
}

void JobRunner::Drain(absl::Duration timeout) {
  std::unique_lock<sync::Mutex> lock(mutex_);
  const auto all_ended = [this] { return alive_ == 0; };
  draining_ = true;
  for (const auto& [id, worker] : workers_) {
    if (worker->phase != Worker::Phase::kRunning) Stop(worker);
  }
  ended_.wait_for(lock, absl::ToChronoNanoseconds(timeout), all_ended);
  for (const auto& [id, worker] : workers_) Stop(worker);
  ended_.wait(lock, all_ended);
}

}  // namespace insula::federation_pusher
