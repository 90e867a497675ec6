#include "libs/rpc/serve.h"

#include <utility>

#include "libs/rpc/grpc_status.h"
#include "libs/rpc/guard.h"

namespace insula::rpc {
namespace {

class UnaryReactor final : public grpc::ServerUnaryReactor {
 public:
  explicit UnaryReactor(boost::asio::any_io_executor executor)
      : handler_(std::make_shared<internal::Handler>(std::move(executor))) {}

  void Start(boost::asio::awaitable<absl::Status> coroutine) {
    handler_->Start(std::move(coroutine),
                    [this](const grpc::Status& status) { Finish(status); });
  }

 private:
  void OnCancel() override { handler_->Cancel(); }
  void OnDone() override { delete this; }

  const std::shared_ptr<internal::Handler> handler_;
};

grpc::ServerUnaryReactor* Run(boost::asio::any_io_executor executor,
                              boost::asio::awaitable<absl::Status> handler) {
  // Owned by gRPC from here on; OnDone deletes it.
  auto* reactor = new UnaryReactor(std::move(executor));
  reactor->Start(std::move(handler));
  return reactor;
}

}  // namespace

grpc::ServerUnaryReactor* Serve(grpc::CallbackServerContext* context,
                                const google::protobuf::Message* request,
                                boost::asio::any_io_executor executor,
                                boost::asio::awaitable<absl::Status> handler) {
  const absl::Status allowed = CheckRequest(CallerOf(*context), *request);
  return allowed.ok() ? Run(std::move(executor), std::move(handler))
                      : Refuse(context, allowed);
}

grpc::ServerUnaryReactor* ServeFor(
    grpc::CallbackServerContext* context,
    const google::protobuf::Message* request, absl::string_view tenant_id,
    boost::asio::any_io_executor executor,
    boost::asio::awaitable<absl::Status> handler) {
  const absl::Status allowed =
      CheckRequestFor(CallerOf(*context), *request, tenant_id);
  return allowed.ok() ? Run(std::move(executor), std::move(handler))
                      : Refuse(context, allowed);
}

Caller CallerOf(const grpc::CallbackServerContext& context) {
  const Guard* const guard = GuardOf(context);
  const std::shared_ptr<const grpc::AuthContext> peer = context.auth_context();
  const bool has_certificate = peer != nullptr && peer->IsPeerAuthenticated();
  if (guard == nullptr && !has_certificate) return Caller();
  return Caller(PeerNamesOf(context),
                guard == nullptr ? nullptr : &guard->rules());
}

grpc::ServerUnaryReactor* Refuse(grpc::CallbackServerContext* context,
                                 const absl::Status& why) {
  if (Guard* const guard = GuardOf(*context)) {
    guard->CountRefusal(*context, CallerOf(*context), why);
  }
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(why));
  return reactor;
}

}  // namespace insula::rpc
