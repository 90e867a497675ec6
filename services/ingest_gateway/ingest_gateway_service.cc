#include "services/ingest_gateway/ingest_gateway_service.h"

#include <utility>

#include "libs/rpc/serve.h"
#include "libs/status/status_macros.h"
#include "services/ingest_gateway/explain.h"

namespace insula::ingest_gateway {

namespace asio = boost::asio;
namespace v1 = ingest::v1;

IngestGatewayService::IngestGatewayService(const WriteConfig& config,
                                           SnapshotSource snapshots,
                                           const Clock* clock,
                                           asio::any_io_executor executor)
    : snapshots_(std::move(snapshots)),
      config_(config),
      clock_(*clock),
      executor_(std::move(executor)) {}

grpc::ServerUnaryReactor* IngestGatewayService::Why(
    grpc::CallbackServerContext* context, const v1::WhyRequest* request,
    v1::WhyResponse* response) {
  return rpc::Serve(context, executor_, HandleWhy(request, response));
}

asio::awaitable<absl::Status> IngestGatewayService::HandleWhy(
    const v1::WhyRequest* request, v1::WhyResponse* response) {
  CO_ASSIGN_OR_RETURN(*response,
                      Explain(*request, snapshots_(), config_, clock_.Now()));
  co_return absl::OkStatus();
}

}  // namespace insula::ingest_gateway
