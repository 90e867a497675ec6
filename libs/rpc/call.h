// Calls gRPC methods from coroutines.
//
//   using Stub = TenantRegistry::StubInterface::async_interface;
//   TenantRegistry::StubInterface* stub = ...;
//   CO_ASSIGN_OR_RETURN(
//       const GetResponse response,
//       co_await rpc::Call(stub->async(), &Stub::Get, request, deadline));
//
// Results resume on the caller's executor: no project code runs on gRPC's
// threads. Executors must run until the RPCs on them have ended.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/rpc/grpc_status.h"
#include "libs/rpc/operation.h"
#include "libs/sync/mutex.h"

namespace insula::rpc {

// Calls `method` on `stub` and suspends until it finishes. Cancelling the
// coroutine cancels the RPC, and the result is CANCELLED. DEADLINE_EXCEEDED
// after `deadline`.
template <typename Stub, typename Request, typename Response>
boost::asio::awaitable<absl::StatusOr<Response>> Call(
    Stub* stub,
    void (Stub::*method)(grpc::ClientContext*, const Request*, Response*,
                         std::function<void(grpc::Status)>),
    Request request, absl::Time deadline) {
  // Shared with gRPC, which uses it until it has called back.
  struct State {
    grpc::ClientContext context;
    Request request;
    Response response;
    grpc::Status status;
    Operation operation;
  };
  auto state = std::make_shared<State>();
  state->context.set_deadline(absl::ToChronoTime(deadline));
  state->request = std::move(request);
  state->operation.Begin();
  // gRPC's threads must not release the last reference to a context, and so
  // maybe to its channel: the channel would join the thread that it is released
  // on. Hence the callback lets go of the state before the coroutine can.
  (stub->*method)(&state->context, &state->request, &state->response,
                  [state](grpc::Status status) mutable {
                    Operation::Handle operation(state->operation);
                    state->status = std::move(status);
                    state.reset();
                    operation.Complete(true);
                  });
  auto cancel = [context = &state->context] { context->TryCancel(); };
  co_await state->operation.Wait(cancel);
  if (!state->status.ok()) co_return FromGrpc(state->status);
  co_return std::move(state->response);
}

// The client's end of a bidirectional stream. Thread-safe; one Read and one
// Write may be on their way at the same time, and Finish comes last.
//
//   auto stream = rpc::ClientStream<In, Out>::Open(
//       executor, [stub](grpc::ClientContext* context,
//                        grpc::ClientBidiReactor<In, Out>* reactor) {
//         stub->async()->Watch(context, reactor);
//       });
//   if (!co_await stream->Write(subscribe)) co_return co_await
//   stream->Finish(); while (std::optional<Out> message = co_await
//   stream->Read()) { ... } const absl::Status status = co_await
//   stream->Finish();
//
// Destroying the stream cancels the RPC, and so does cancelling a coroutine
// that waits in one of its methods.
template <typename Request, typename Response>
class ClientStream {
 public:
  using StartFunction = std::function<void(
      grpc::ClientContext*, grpc::ClientBidiReactor<Request, Response>*)>;

  // `start` calls the stub's method with what it is given, once, here.
  // `executor` is kept from running out of work until the RPC has ended.
  static std::shared_ptr<ClientStream> Open(
      boost::asio::any_io_executor executor, StartFunction start,
      absl::Time deadline = absl::InfiniteFuture()) {
    auto core = std::make_shared<Core>(std::move(executor));
    core->Start(start, deadline, core);
    return std::shared_ptr<ClientStream>(new ClientStream(std::move(core)));
  }
  ~ClientStream() { core_->Abandon(); }
  ClientStream(const ClientStream&) = delete;
  ClientStream& operator=(const ClientStream&) = delete;

  // Hands a message to the transport and waits until it took it. False: the
  // stream has ended; Finish says why.
  boost::asio::awaitable<bool> Write(Request message) {
    return Core::Write(core_, std::move(message));
  }

  // The next message; nullopt: the stream has ended, Finish says why. The one
  // after it is read while the caller works on this one, but no further ones.
  boost::asio::awaitable<std::optional<Response>> Read() {
    return Core::Read(core_);
  }

  // Says that nothing more will be written, drops what was not read, and
  // returns the status of the RPC, for which it waits until the deadline. Once.
  boost::asio::awaitable<absl::Status> Finish() { return Core::Finish(core_); }

  // Ends the RPC as CANCELLED.
  void Cancel() { core_->Cancel(); }

 private:
  // gRPC's side. Lives until the stream is gone and gRPC is done.
  class Core final : public grpc::ClientBidiReactor<Request, Response> {
   public:
    explicit Core(boost::asio::any_io_executor executor)
        : work_(boost::asio::make_work_guard(std::move(executor))) {}

    void Start(const StartFunction& start, absl::Time deadline,
               std::shared_ptr<Core> self) {
      if (deadline != absl::InfiniteFuture()) {
        context_.set_deadline(absl::ToChronoTime(deadline));
      }
      {
        sync::MutexLock lock(&mutex_);
        self_ = std::move(self);
      }
      done_.Begin();
      start(&context_, this);
      // Operations start outside of gRPC's callbacks: the hold keeps OnDone
      // away until Release.
      this->AddHold();
      this->StartCall();
    }

    static boost::asio::awaitable<bool> Write(std::shared_ptr<Core> core,
                                              Request message) {
      if (!core->writing_.Begin()) {
        const bool ok = co_await core->writing_.Wait(CancelFunction(core));
        if (!ok || !core->writing_.Begin()) co_return false;
      }
      core->request_ = std::move(message);
      if (!core->StartUnlessReleased(
              [&core] { core->StartWrite(&core->request_); })) {
        core->writing_.Complete(false);
      }
      const bool written = co_await core->writing_.Wait(CancelFunction(core));
      co_return written;
    }

    static boost::asio::awaitable<std::optional<Response>> Read(
        std::shared_ptr<Core> core) {
      core->BeginRead();
      const bool ok = co_await core->reading_.Wait(CancelFunction(core));
      if (!ok) co_return std::nullopt;
      Response message = std::move(core->response_);
      core->BeginRead();
      co_return message;
    }

    static boost::asio::awaitable<absl::Status> Finish(
        std::shared_ptr<Core> core) {
      core->StartUnlessReleased([&core] { core->StartWritesDone(); });
      // The status comes behind the messages.
      while (true) {
        const std::optional<Response> dropped = co_await Read(core);
        if (!dropped.has_value()) break;
      }
      core->Release();
      co_await core->done_.Wait(CancelFunction(core));
      co_return FromGrpc(core->status_);
    }

    void Cancel() { context_.TryCancel(); }

    void Abandon() {
      if (Release()) context_.TryCancel();
    }

   private:
    static std::function<void()> CancelFunction(std::shared_ptr<Core> core) {
      return [core = std::move(core)] { core->Cancel(); };
    }

    // Unless a read is on its way.
    void BeginRead() {
      if (reading_.Begin() &&
          !StartUnlessReleased([this] { this->StartRead(&response_); })) {
        reading_.Complete(false);
      }
    }

    // False, and nothing started, if the hold is gone.
    template <typename StartOperation>
    bool StartUnlessReleased(StartOperation start) {
      sync::MutexLock lock(&mutex_);
      if (released_) return false;
      start();
      return true;
    }

    // Lets OnDone come. False if that was done before.
    bool Release() {
      {
        sync::MutexLock lock(&mutex_);
        if (released_) return false;
        released_ = true;
      }
      this->RemoveHold();
      return true;
    }

    void OnReadDone(bool ok) override { reading_.Complete(ok); }
    void OnWriteDone(bool ok) override { writing_.Complete(ok); }
    // The last reference goes on the executor, see Call.
    void OnDone(const grpc::Status& status) override {
      status_ = status;
      const auto work = std::move(work_);
      Operation::Handle done(done_);
      std::shared_ptr<Core> last;
      {
        sync::MutexLock lock(&mutex_);
        last.swap(self_);
      }
      boost::asio::post(work.get_executor(), [last = std::move(last)] {});
      done.Complete(true);
    }

    boost::asio::executor_work_guard<boost::asio::any_io_executor> work_;
    grpc::ClientContext context_;
    Operation reading_;
    Operation writing_;
    Operation done_;
    Request request_;
    Response response_;
    grpc::Status status_;

    sync::Mutex mutex_;
    bool released_ ABSL_GUARDED_BY(mutex_) = false;
    std::shared_ptr<Core> self_ ABSL_GUARDED_BY(mutex_);  // Until OnDone.
  };

  explicit ClientStream(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  const std::shared_ptr<Core> core_;
};

}  // namespace insula::rpc
