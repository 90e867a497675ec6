// Ctrl-C, as something that commands can look at and wait for.
#pragma once

#include <condition_variable>
#include <csignal>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "libs/sync/mutex.h"

namespace insula::insulactl {

// Takes SIGINT and SIGTERM from its making on; it must be made before other
// threads are. The first one is for the command to act on; the second one ends
// the process at once, with exit code 130. Thread-safe.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool happened() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits for `duration`. False: it was interrupted before.
  bool WaitFor(absl::Duration duration) ABSL_LOCKS_EXCLUDED(mutex_);

  // While this lives, an interruption calls `cancel`, at once if it happened
  // already, on another thread. One at a time.
  class Scope {
   public:
    Scope(Interrupt* interrupt, std::function<void()> cancel);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Interrupt& interrupt_;
  };

 private:
  void Run();

  sigset_t signals_;
  mutable sync::Mutex mutex_;
  std::condition_variable_any changed_;
  bool happened_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> cancel_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace insula::insulactl
