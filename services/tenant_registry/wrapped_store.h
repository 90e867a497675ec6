// A store whose commits a test holds up or lets fail.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "libs/sync/mutex.h"
#include "services/tenant_registry/store.h"

namespace insula::tenant_registry {

// What a test and the store share. Thread-safe.
class CommitGate {
 public:
  // From now on commits wait until Open().
  void Close() {
    sync::MutexLock lock(&mutex_);
    closed_ = true;
  }
  void Open() {
    sync::MutexLock lock(&mutex_);
    closed_ = false;
    changed_.notify_all();
  }
  // That commit, counted from 1, fails before anything is written.
  void Fail(size_t commit) {
    sync::MutexLock lock(&mutex_);
    failing_ = commit;
  }
  // How many Applies each commit has stored, or tried to.
  std::vector<size_t> sizes() const {
    sync::MutexLock lock(&mutex_);
    return sizes_;
  }

  absl::Status Pass(size_t applies) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock<sync::Mutex> lock(mutex_);
    sizes_.push_back(applies);
    const size_t number = sizes_.size();
    changed_.wait(lock, [this] { return !closed_; });
    return number == failing_ ? absl::UnavailableError("disk full")
                              : absl::OkStatus();
  }

 private:
  mutable sync::Mutex mutex_;
  std::condition_variable_any changed_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  size_t failing_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<size_t> sizes_ ABSL_GUARDED_BY(mutex_);
};

class WrappedStore final : public Store {
 public:
  WrappedStore(std::unique_ptr<Store> store, std::shared_ptr<CommitGate> gate)
      : store_(std::move(store)), gate_(std::move(gate)) {}

  absl::StatusOr<Head> Load(
      const std::function<void(v1::Object)>& visit) override {
    return store_->Load(visit);
  }
  absl::Status LoadRetirements(
      const std::function<void(const Retirement&)>& visit) override {
    return store_->LoadRetirements(visit);
  }
  absl::Status ForgetRetirements(absl::Time until) override {
    return store_->ForgetRetirements(until);
  }
  absl::Status Commit(const std::vector<Entry>& group,
                      absl::Time now) override {
    const absl::Status passed = gate_->Pass(group.size());
    return passed.ok() ? store_->Commit(group, now) : passed;
  }
  absl::StatusOr<std::optional<Answer>> FindRequest(
      absl::string_view request_id, absl::Time now) override {
    return store_->FindRequest(request_id, now);
  }
  absl::StatusOr<std::vector<Change>> ChangesAfter(int64_t revision,
                                                   int limit) override {
    return store_->ChangesAfter(revision, limit);
  }
  absl::Status Compact(int64_t revision) override {
    return store_->Compact(revision);
  }
  absl::StatusOr<int64_t> RevisionBefore(absl::Time time) override {
    return store_->RevisionBefore(time);
  }
  absl::StatusOr<AuditPage> ReadAudit(const AuditQuery& query) override {
    return store_->ReadAudit(query);
  }
  absl::StatusOr<int> CompactAudit(absl::Time time, int limit) override {
    return store_->CompactAudit(time, limit);
  }
  absl::StatusOr<int64_t> Backup(const std::string& path) override {
    return store_->Backup(path);
  }

 private:
  const std::unique_ptr<Store> store_;
  const std::shared_ptr<CommitGate> gate_;
};

}  // namespace insula::tenant_registry
