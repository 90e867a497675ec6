// Serves gRPC methods with coroutines.
//
//   grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context,
//                                 const GetRequest* request,
//                                 GetResponse* response) override {
//     return rpc::Serve(context, request, executor_,
//                       HandleGet(request, response));
//   }
//
//   grpc::ServerBidiReactor<In, Out>* Watch(
//       grpc::CallbackServerContext* context) override {
//     return rpc::ServeBidi<In, Out>(
//         context, executor_, [this](rpc::ServerStream<In, Out>* stream) {
//           return HandleWatch(stream);
//         });
//   }
//
// Who may call at all, the server has checked (callers.h). Serve() checks that
// the caller may do it for the tenant that the request names: a handler can't
// forget it.
//
// Each RPC runs on a strand of its own, on `executor`, which must run until the
// server has drained. When the peer cancels, vanishes or lets its deadline
// pass, the coroutine is cancelled as Asio does it: what it waits for ends
// early, its next co_await throws, the RPC ends as CANCELLED. Work that must
// not stop half way is spawned apart. An exception ends the RPC as INTERNAL and
// is logged.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/rpc/callers.h"
#include "libs/rpc/handler.h"
#include "libs/rpc/operation.h"

namespace insula::rpc {

// Runs `handler` and finishes the RPC with the status that it returns. Request
// and response live until then. A caller that may not make the request
// (CheckRequest() of callers.h) gets PERMISSION_DENIED, and `handler` does not
// begin.
grpc::ServerUnaryReactor* Serve(grpc::CallbackServerContext* context,
                                const google::protobuf::Message* request,
                                boost::asio::any_io_executor executor,
                                boost::asio::awaitable<absl::Status> handler);

// The same of a request that names something of a tenant: `tenant_id` is that
// tenant; empty if there is none, and then the caller needs its role for every
// tenant.
grpc::ServerUnaryReactor* ServeFor(
    grpc::CallbackServerContext* context,
    const google::protobuf::Message* request, absl::string_view tenant_id,
    boost::asio::any_io_executor executor,
    boost::asio::awaitable<absl::Status> handler);

// Who makes a call.
Caller CallerOf(const grpc::CallbackServerContext& context);

// Finishes an RPC of a caller that may not make it, for what a handler knows.
// Counts it.
grpc::ServerUnaryReactor* Refuse(grpc::CallbackServerContext* context,
                                 const absl::Status& why);

// The server's end of a bidirectional stream, in its handler. Valid until the
// handler returns. One Read and one Write may be on their way at the same time.
template <typename Request, typename Response>
class ServerStream {
 public:
  virtual ~ServerStream() = default;

  // The next message; nullopt if the peer has sent its last one or is gone. If
  // the waiting coroutine is cancelled no message is lost: the next Read gets
  // it.
  virtual boost::asio::awaitable<std::optional<Request>> Read() = 0;

  // Hands a message to the transport and waits until it took it, which a peer
  // that does not read delays. False: the peer is gone.
  virtual boost::asio::awaitable<bool> Write(Response message) = 0;

  virtual grpc::CallbackServerContext* context() = 0;
};

// The same of a stream to which only the server writes.
template <typename Response>
class ServerWriter {
 public:
  virtual ~ServerWriter() = default;
  virtual boost::asio::awaitable<bool> Write(Response message) = 0;
  virtual grpc::CallbackServerContext* context() = 0;
};

namespace internal {

// Waits for what is still on its way of an earlier, cancelled Write, then
// starts the next one.
template <typename Reactor, typename Response>
boost::asio::awaitable<bool> WriteTo(Reactor* reactor, Operation* writing,
                                     Response* buffer, Response message) {
  if (!writing->Begin()) {
    const bool ok = co_await writing->Wait();
    if (!ok || !writing->Begin()) co_return false;
  }
  *buffer = std::move(message);
  reactor->StartWrite(buffer);
  co_return co_await writing->Wait();
}

template <typename Request, typename Response>
class BidiReactor final : public grpc::ServerBidiReactor<Request, Response>,
                          public ServerStream<Request, Response> {
 public:
  BidiReactor(grpc::CallbackServerContext* context,
              boost::asio::any_io_executor executor)
      : context_(context),
        handler_(std::make_shared<Handler>(std::move(executor))) {}

  void Start(boost::asio::awaitable<absl::Status> coroutine) {
    handler_->StartStream(
        context_, std::move(coroutine),
        [this](const grpc::Status& status) { this->Finish(status); });
  }

  boost::asio::awaitable<std::optional<Request>> Read() override {
    if (reading_.Begin()) this->StartRead(&request_);
    const bool ok = co_await reading_.Wait();
    if (!ok) co_return std::nullopt;
    co_return std::move(request_);
  }
  boost::asio::awaitable<bool> Write(Response message) override {
    return WriteTo(this, &writing_, &response_, std::move(message));
  }
  grpc::CallbackServerContext* context() override { return context_; }

 private:
  void OnReadDone(bool ok) override { reading_.Complete(ok); }
  void OnWriteDone(bool ok) override { writing_.Complete(ok); }
  void OnCancel() override { handler_->Cancel(); }
  void OnDone() override {
    handler_->Done();
    delete this;
  }

  grpc::CallbackServerContext* const context_;
  const std::shared_ptr<Handler> handler_;
  Operation reading_;
  Operation writing_;
  Request request_;
  Response response_;
};

template <typename Response>
class WriteReactor final : public grpc::ServerWriteReactor<Response>,
                           public ServerWriter<Response> {
 public:
  WriteReactor(grpc::CallbackServerContext* context,
               boost::asio::any_io_executor executor)
      : context_(context),
        handler_(std::make_shared<Handler>(std::move(executor))) {}

  void Start(boost::asio::awaitable<absl::Status> coroutine) {
    handler_->StartStream(
        context_, std::move(coroutine),
        [this](const grpc::Status& status) { this->Finish(status); });
  }

  boost::asio::awaitable<bool> Write(Response message) override {
    return WriteTo(this, &writing_, &response_, std::move(message));
  }
  grpc::CallbackServerContext* context() override { return context_; }

 private:
  void OnWriteDone(bool ok) override { writing_.Complete(ok); }
  void OnCancel() override { handler_->Cancel(); }
  void OnDone() override {
    handler_->Done();
    delete this;
  }

  grpc::CallbackServerContext* const context_;
  const std::shared_ptr<Handler> handler_;
  Operation writing_;
  Response response_;
};

}  // namespace internal

// Serves a bidirectional stream. `handler` is called once, here, to make the
// coroutine. When that returns while the peer reads nothing, what is on its way
// and the status wait for the peer for 30 s; then the RPC is cancelled.
template <typename Request, typename Response>
grpc::ServerBidiReactor<Request, Response>* ServeBidi(
    grpc::CallbackServerContext* context, boost::asio::any_io_executor executor,
    std::function<
        boost::asio::awaitable<absl::Status>(ServerStream<Request, Response>*)>
        handler) {
  // Owned by gRPC from here on; OnDone deletes it.
  auto* reactor = new internal::BidiReactor<Request, Response>(
      context, std::move(executor));
  reactor->Start(handler(reactor));
  return reactor;
}

// The same for server streaming.
template <typename Response>
grpc::ServerWriteReactor<Response>* ServeWriter(
    grpc::CallbackServerContext* context, boost::asio::any_io_executor executor,
    std::function<boost::asio::awaitable<absl::Status>(ServerWriter<Response>*)>
        handler) {
  auto* reactor =
      new internal::WriteReactor<Response>(context, std::move(executor));
  reactor->Start(handler(reactor));
  return reactor;
}

}  // namespace insula::rpc
