// Saves the last good copy in the background.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/registry_client/last_good_file.h"
#include "libs/sync/mutex.h"
#include "libs/tenancy/snapshot.h"

namespace insula::registry_client {

// Has a thread of its own, which sleeps while nothing changes. Only the newest
// snapshot offered is saved. Thread-safe.
//
// Saving writes everything, so a large copy is saved less often: the thread
// rests for twenty times as long as the last save took, but 1 s at least and
// 1 min at most.
class Saver {
 public:
  // The name of the thread, as the kernel shows it.
  static constexpr char kThreadName[] = "registry-saver";

  // `on_saved` is called from the thread with the outcome of each save. A save
  // that failed is tried again with what is newest then.
  Saver(LastGoodFile file, std::vector<registry::v1::Kind> kinds,
        std::function<void(const absl::Status&)> on_saved);
  // Saves what was offered and not saved yet.
  ~Saver();

  // Saves `snapshot` in a while, or at once.
  void Offer(std::shared_ptr<const tenancy::Snapshot> snapshot, bool at_once);

 private:
  void Run();
  // Waits for something to save. Null: the end.
  std::shared_ptr<const tenancy::Snapshot> Next();

  LastGoodFile file_;
  const std::vector<registry::v1::Kind> kinds_;
  const std::function<void(const absl::Status&)> on_saved_;

  sync::Mutex mutex_;
  std::condition_variable_any changed_;
  std::shared_ptr<const tenancy::Snapshot> offered_ ABSL_GUARDED_BY(mutex_);
  bool at_once_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time rests_until_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();

  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace insula::registry_client
