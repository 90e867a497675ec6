// One operation at a time (a read, a write) that ends on another thread, and a
// coroutine that awaits the end.
//
//   operation.Begin();
//   library.StartRead(&buffer, [&] { operation.Complete(true); });
//   const bool ok = co_await operation.Wait();
//
// The coroutine resumes on its own executor.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "libs/sync/mutex.h"

namespace insula::rpc {

// Thread-safe; but one coroutine waits at a time.
class Operation {
 public:
  Operation();

  // Marks the operation as started. False: one is still on its way, because the
  // coroutine that waited for it was cancelled; Wait() for that one.
  bool Begin();

  // Waits for Complete() and returns its argument. If the coroutine is
  // cancelled meanwhile: with `on_cancel` it calls that, which must bring
  // Complete() about, and goes on waiting; without, it returns false at once,
  // and the operation stays on its way, or ended, for the next Wait().
  boost::asio::awaitable<bool> Wait(std::function<void()> on_cancel = nullptr);

  // The end of the operation, from any thread. Once it is called, `this` may be
  // gone.
  void Complete(bool ok);

  // Completes without keeping the operation's owner alive.
  class Handle;

 private:
  friend class Handle;
  // Shared with the slot of a waiting coroutine, which may outlive the stream.
  struct State {
    // Of an operation whose end no one took.
    void KeepResult(bool ok);

    sync::Mutex mutex;
    bool started ABSL_GUARDED_BY(mutex) = false;
    std::optional<bool> result ABSL_GUARDED_BY(mutex);
    std::function<void(bool)> waiter ABSL_GUARDED_BY(mutex);
  };
  std::shared_ptr<State> state_;
};

class Operation::Handle {
 public:
  explicit Handle(const Operation& operation) : state_(operation.state_) {}
  void Complete(bool ok);

 private:
  std::shared_ptr<State> state_;
};

}  // namespace insula::rpc
