// The coroutine behind one served RPC: its strand, its cancellation, its end.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <exception>
#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "libs/sync/mutex.h"

namespace insula::rpc {
class Guard;
}

namespace insula::rpc::internal {

// Shared by the reactor and the coroutine, so that neither outlives what it
// touches. Thread-safe, but started once.
class Handler : public std::enable_shared_from_this<Handler> {
 public:
  using FinishFunction = std::function<void(const grpc::Status&)>;

  explicit Handler(boost::asio::any_io_executor executor);

  // Runs `coroutine` on the strand, then calls `finish` there.
  void Start(boost::asio::awaitable<absl::Status> coroutine,
             FinishFunction finish);

  // Likewise; but the RPC is cancelled if it is not Done() 30 s after `finish`,
  // for a peer that does not read can't keep its memory for ever, and when its
  // caller may not call it any longer.
  void StartStream(grpc::CallbackServerContext* context,
                   boost::asio::awaitable<absl::Status> coroutine,
                   FinishFunction finish);

  // Cancels the coroutine if it still runs. From any thread: the signal is
  // emitted on the strand.
  void Cancel();

  // gRPC is done with the RPC; its context is about to go.
  void Done();

 private:
  void Ended(std::exception_ptr error, const absl::Status& status);
  void Linger();
  // Looks every now and then whether the caller may go on.
  void KeepChecking(Guard* guard);

  boost::asio::strand<boost::asio::any_io_executor> strand_;

  // Of the strand alone, once started.
  boost::asio::cancellation_signal signal_;
  boost::asio::steady_timer linger_;
  boost::asio::steady_timer recheck_;
  FinishFunction finish_;  // Null once the coroutine has ended.
  bool cancelled_ = false;

  sync::Mutex mutex_;
  grpc::CallbackServerContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace insula::rpc::internal
