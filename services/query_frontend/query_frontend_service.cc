#include "services/query_frontend/query_frontend_service.h"

#include <utility>

#include "libs/rpc/serve.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/explain.h"

namespace insula::query_frontend {

namespace asio = boost::asio;
namespace v1 = query::v1;

QueryFrontendService::QueryFrontendService(SnapshotSource snapshots,
                                           asio::any_io_executor executor)
    : snapshots_(std::move(snapshots)), executor_(std::move(executor)) {}

grpc::ServerUnaryReactor* QueryFrontendService::Explain(
    grpc::CallbackServerContext* context, const v1::ExplainRequest* request,
    v1::ExplainResponse* response) {
  return rpc::Serve(context, request, executor_,
                    HandleExplain(request, response));
}

asio::awaitable<absl::Status> QueryFrontendService::HandleExplain(
    const v1::ExplainRequest* request, v1::ExplainResponse* response) {
  const std::shared_ptr<const tenancy::Snapshot> snapshot = snapshots_();
  CO_ASSIGN_OR_RETURN(*response, ExplainQuery(*request, *snapshot));
  co_return absl::OkStatus();
}

}  // namespace insula::query_frontend
