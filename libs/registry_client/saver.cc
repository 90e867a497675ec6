#include "libs/registry_client/saver.h"

#include <pthread.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "absl/time/clock.h"

namespace insula::registry_client {
namespace {

constexpr absl::Duration kShortestRest = absl::Seconds(1);
constexpr absl::Duration kLongestRest = absl::Minutes(1);
constexpr int kRestPerWork = 20;

}  // namespace

Saver::Saver(LastGoodFile file, std::vector<registry::v1::Kind> kinds,
             std::function<void(const absl::Status&)> on_saved)
    : file_(std::move(file)),
      kinds_(std::move(kinds)),
      on_saved_(std::move(on_saved)),
      thread_([this] { Run(); }) {}

Saver::~Saver() {
  {
    sync::MutexLock lock(&mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Saver::Offer(std::shared_ptr<const tenancy::Snapshot> snapshot,
                  bool at_once) {
  {
    sync::MutexLock lock(&mutex_);
    offered_ = std::move(snapshot);
    at_once_ = at_once_ || at_once;
  }
  changed_.notify_one();
}

std::shared_ptr<const tenancy::Snapshot> Saver::Next()
    ABSL_NO_THREAD_SAFETY_ANALYSIS {  // It can't follow a unique_lock.
  std::unique_lock<sync::Mutex> lock(mutex_);
  while (!ending_) {
    if (offered_ == nullptr) {
      changed_.wait(lock);
      continue;
    }
    const absl::Duration rest = rests_until_ - absl::Now();
    if (at_once_ || rest <= absl::ZeroDuration()) break;
    // The wall clock may jump, so that a rest looks longer than it can be.
    changed_.wait_for(lock,
                      absl::ToChronoMilliseconds(std::min(rest, kLongestRest)));
  }
  at_once_ = false;
  return std::exchange(offered_, nullptr);
}

void Saver::Run() {
  pthread_setname_np(pthread_self(), kThreadName);
  while (const auto snapshot = Next()) {
    const absl::Time begin = absl::Now();
    const absl::Status status = file_.Save(*snapshot, kinds_);
    const absl::Time end = absl::Now();
    on_saved_(status);
    sync::MutexLock lock(&mutex_);
    rests_until_ = end + std::clamp(kRestPerWork * (end - begin), kShortestRest,
                                    kLongestRest);
    // Once more, unless there is something newer or no time left.
    if (!status.ok() && offered_ == nullptr && !ending_) offered_ = snapshot;
  }
}

}  // namespace insula::registry_client
