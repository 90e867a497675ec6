#include "services/ingest_gateway/ingest_gateway_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/auth/auth.h"
#include "libs/http/message.h"
#include "libs/http/status_code.h"
#include "libs/rpc/serve.h"
#include "libs/status/status_macros.h"
#include "services/ingest_gateway/explain.h"

namespace insula::ingest_gateway {

namespace asio = boost::asio;
namespace v1 = ingest::v1;

IngestGatewayService::IngestGatewayService(const WriteConfig& config,
                                           SnapshotSource snapshots,
                                           const Clock* clock,
                                           WriteHandler* handler,
                                           const OperatorPages* pages,
                                           asio::any_io_executor executor)
    : snapshots_(std::move(snapshots)),
      config_(config),
      clock_(*clock),
      handler_(handler),
      pages_(pages),
      executor_(std::move(executor)) {}

grpc::ServerUnaryReactor* IngestGatewayService::Push(
    grpc::CallbackServerContext* context, const v1::PushRequest* request,
    v1::PushResponse* response) {
  return rpc::Serve(context, request, executor_,
                    HandlePush(context, request, response));
}

asio::awaitable<absl::Status> IngestGatewayService::HandlePush(
    grpc::CallbackServerContext* context, const v1::PushRequest* request,
    v1::PushResponse* /*response*/) {
  if (request->tenant_id().empty()) {
    co_return absl::InvalidArgumentError(
        "tenant_id: name the tenant whose series they are");
  }
  if (request->body().size() > config_.max_body.value) {
    co_return absl::ResourceExhaustedError(
        absl::StrCat("body: has ", request->body().size(), " bytes, may have ",
                     config_.max_body.value));
  }
  // Whether the caller may write for the tenant, the server has checked.
  CO_ASSIGN_OR_RETURN(auth::Caller caller,
                      auth::CallerWithHeader(snapshots_(), request->tenant_id(),
                                             registry::v1::ROLE_WRITE));
  http::Request write;
  write.body = http::Buffer(absl::string_view(request->body()));
  write.deadline = absl::FromChrono(context->deadline());
  const http::Response answer =
      co_await handler_->Write(std::move(write), std::move(caller), nullptr);
  if (answer.status == 204) co_return absl::OkStatus();
  if (const auto wait = answer.headers.Get("Retry-After")) {
    context->AddTrailingMetadata("retry-after", std::string(*wait));
  }
  if (answer.status == 413) co_return absl::ResourceExhaustedError(answer.body);
  if (answer.status == 403) co_return absl::PermissionDeniedError(answer.body);
  co_return absl::Status(http::FromHttpStatus(answer.status), answer.body);
}

grpc::ServerUnaryReactor* IngestGatewayService::Usage(
    grpc::CallbackServerContext* context, const v1::UsageRequest* request,
    v1::UsageResponse* response) {
  return rpc::Serve(context, request, executor_,
                    HandleUsage(request, response));
}

asio::awaitable<absl::Status> IngestGatewayService::HandleUsage(
    const v1::UsageRequest* request, v1::UsageResponse* response) {
  CO_ASSIGN_OR_RETURN(*response, pages_->TellUsage(*request));
  co_return absl::OkStatus();
}

grpc::ServerUnaryReactor* IngestGatewayService::Why(
    grpc::CallbackServerContext* context, const v1::WhyRequest* request,
    v1::WhyResponse* response) {
  return rpc::Serve(context, request, executor_, HandleWhy(request, response));
}

asio::awaitable<absl::Status> IngestGatewayService::HandleWhy(
    const v1::WhyRequest* request, v1::WhyResponse* response) {
  CO_ASSIGN_OR_RETURN(*response,
                      Explain(*request, snapshots_(), config_, clock_.Now()));
  co_return absl::OkStatus();
}

}  // namespace insula::ingest_gateway
