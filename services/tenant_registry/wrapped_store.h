// A store whose commits a test holds up or lets fail.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "libs/sync/mutex.h"
#include "services/tenant_registry/forwarding_store.h"

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

class WrappedStore final : public ForwardingStore {
 public:
  WrappedStore(std::unique_ptr<Store> store, std::shared_ptr<CommitGate> gate)
      : ForwardingStore(std::move(store)), gate_(std::move(gate)) {}

  absl::Status Commit(const std::vector<Entry>& group,
                      absl::Time now) override {
    const absl::Status passed = gate_->Pass(group.size());
    return passed.ok() ? ForwardingStore::Commit(group, now) : passed;
  }

 private:
  const std::shared_ptr<CommitGate> gate_;
};

}  // namespace insula::tenant_registry
