#include "libs/rpc/serve.h"

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

}  // namespace

grpc::ServerUnaryReactor* Serve(grpc::CallbackServerContext* /*context*/,
                                boost::asio::any_io_executor executor,
                                boost::asio::awaitable<absl::Status> handler) {
  // Owned by gRPC from here on; OnDone deletes it.
  auto* reactor = new UnaryReactor(std::move(executor));
  reactor->Start(std::move(handler));
  return reactor;
}

}  // namespace insula::rpc
