// For tests: jobs whose runs do what a test wants.
#pragma once

#include <algorithm>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/sync/mutex.h"
#include "libs/tenancy/snapshot.h"
#include "services/federation_pusher/one_shot.h"
#include "services/federation_pusher/run.h"

namespace insula::federation_pusher {

// Plays what a JobRunner executes. A run of a held job goes on until the job is
// released. Thread-safe; outlives all runs.
class FakeJobs {
 public:
  struct Seen {
    std::string tenant;  // Of the spec that ran.
    bool ended = false;  // Also by being cut short.
  };

  static boost::asio::awaitable<absl::Status> Execute(
      FakeJobs* self, std::shared_ptr<const tenancy::Snapshot> /*snapshot*/,
      std::shared_ptr<const tenancy::Job> job, RunReport* run) {
    const Visit visit(self, *job);
    run->delivered_samples = 1;
    if (const auto hold = self->HoldOf(job->id)) {
      const absl::Status* const outcome = co_await hold->Wait();
      // As a run that is cancelled ends: by an exception or by a status.
      co_return outcome == nullptr ? absl::CancelledError("cut short")
                                   : *outcome;
    }
    run->delivered_samples = 2;
    co_return self->OutcomeOf(job->id);
  }

  // Runs of the job from now on wait.
  void Hold(absl::string_view id) {
    sync::MutexLock lock(&mutex_);
    holds_[std::string(id)] = std::make_shared<OneShot<absl::Status>>();
  }
  // Ends those that wait, and lets others pass.
  void Release(absl::string_view id, absl::Status outcome = absl::OkStatus()) {
    std::shared_ptr<OneShot<absl::Status>> hold;
    {
      sync::MutexLock lock(&mutex_);
      hold = std::exchange(holds_[std::string(id)], nullptr);
    }
    hold->Set(std::move(outcome));
  }
  // How runs that don't wait end.
  void SetOutcome(absl::string_view id, absl::Status outcome) {
    sync::MutexLock lock(&mutex_);
    outcomes_[std::string(id)] = std::move(outcome);
  }

  std::vector<Seen> RunsOf(absl::string_view id) {
    sync::MutexLock lock(&mutex_);
    return seen_[std::string(id)];
  }
  // Blocks until so many runs of the job have begun; false after 20 s.
  bool AwaitRuns(absl::string_view id, size_t count) {
    std::unique_lock<sync::Mutex> lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] {
      return seen_[std::string(id)].size() >= count;
    });
  }
  int running() {
    sync::MutexLock lock(&mutex_);
    return running_;
  }
  int most_running() {
    sync::MutexLock lock(&mutex_);
    return most_running_;
  }
  // Whether two runs of a job went on at the same time.
  bool overlapped() {
    sync::MutexLock lock(&mutex_);
    return overlapped_;
  }

 private:
  // A run from its begin to its end, however that comes.
  class Visit {
   public:
    Visit(FakeJobs* jobs, const tenancy::Job& job) : jobs_(jobs), id_(job.id) {
      sync::MutexLock lock(&jobs_->mutex_);
      index_ = jobs_->seen_[id_].size();
      jobs_->seen_[id_].push_back({job.spec.tenant_id()});
      jobs_->overlapped_ =
          jobs_->overlapped_ || !jobs_->inside_.insert(id_).second;
      jobs_->most_running_ = std::max(jobs_->most_running_, ++jobs_->running_);
      jobs_->changed_.notify_all();
    }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    ~Visit() {
      sync::MutexLock lock(&jobs_->mutex_);
      jobs_->seen_[id_][index_].ended = true;
      jobs_->inside_.erase(id_);
      --jobs_->running_;
      jobs_->changed_.notify_all();
    }

   private:
    FakeJobs* const jobs_;
    const std::string id_;
    size_t index_ = 0;
  };

  std::shared_ptr<OneShot<absl::Status>> HoldOf(const std::string& id) {
    sync::MutexLock lock(&mutex_);
    return holds_[id];
  }
  absl::Status OutcomeOf(const std::string& id) {
    sync::MutexLock lock(&mutex_);
    return outcomes_[id];
  }

  sync::Mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, std::shared_ptr<OneShot<absl::Status>>> holds_
      ABSL_GUARDED_BY(mutex_);
  std::map<std::string, absl::Status> outcomes_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::vector<Seen>> seen_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> inside_ ABSL_GUARDED_BY(mutex_);
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  int most_running_ ABSL_GUARDED_BY(mutex_) = 0;
  bool overlapped_ ABSL_GUARDED_BY(mutex_) = false;
};

// A job of a snapshot. `interval` in seconds.
struct JobSpec {
  std::string id;
  std::string tenant = "green";
  int interval = 3000;
  char uid = 'u';
};

inline std::shared_ptr<const tenancy::Snapshot> SnapshotOf(
    const std::vector<JobSpec>& jobs) {
  static std::atomic<int64_t> revision = 0;
  tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
  for (const JobSpec& each : jobs) {
    registry::v1::Object object;
    object.mutable_meta()->set_kind(registry::v1::KIND_JOB);
    object.mutable_meta()->set_id(each.id);
    object.mutable_meta()->set_uid(std::string(16, each.uid));
    registry::v1::Job* const job = object.mutable_job();
    job->set_tenant_id(each.tenant);
    job->set_source_url("http://source:9090/federate");
    job->add_matches("up");
    job->mutable_interval()->set_seconds(each.interval);
    const absl::Status put = builder.Put(object);
    if (!put.ok()) return nullptr;
  }
  return std::move(builder).Build(++revision, "epoch");
}

}  // namespace insula::federation_pusher
