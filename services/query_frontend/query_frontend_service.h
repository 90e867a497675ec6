// The gRPC API of the service.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "insula/query/v1/query.grpc.pb.h"
#include "libs/tenancy/snapshot.h"
#include "services/query_frontend/api_handler.h"
#include "services/query_frontend/pools.h"

namespace insula::query_frontend {

// Explains from the present copy of the registry; queries go where those of the
// HTTP API go. Thread-safe.
class QueryFrontendService final
    : public query::v1::QueryFrontend::CallbackService {
 public:
  using SnapshotSource =
      std::function<std::shared_ptr<const tenancy::Snapshot>()>;

  // `pools` and `handler` outlive it. `timeout` bounds what a caller may wait
  // for an answer, `max_response` the answer, in bytes.
  QueryFrontendService(SnapshotSource snapshots, Pools* pools,
                       ApiHandler* handler, absl::Duration timeout,
                       size_t max_response,
                       boost::asio::any_io_executor executor);

  grpc::ServerUnaryReactor* Explain(
      grpc::CallbackServerContext* context,
      const query::v1::ExplainRequest* request,
      query::v1::ExplainResponse* response) override;
  grpc::ServerUnaryReactor* Query(grpc::CallbackServerContext* context,
                                  const query::v1::QueryRequest* request,
                                  query::v1::QueryResponse* response) override;
  grpc::ServerUnaryReactor* QueryRange(
      grpc::CallbackServerContext* context,
      const query::v1::QueryRangeRequest* request,
      query::v1::QueryRangeResponse* response) override;
  grpc::ServerUnaryReactor* Series(
      grpc::CallbackServerContext* context,
      const query::v1::SeriesRequest* request,
      query::v1::SeriesResponse* response) override;

 private:
  boost::asio::awaitable<absl::Status> HandleExplain(
      const query::v1::ExplainRequest* request,
      query::v1::ExplainResponse* response);
  // Asks the HTTP API and puts the body of its answer into `json`.
  boost::asio::awaitable<absl::Status> Ask(std::string tenant_id,
                                           absl::StatusOr<http::Request> asked,
                                           absl::Time deadline,
                                           std::string* json);

  const SnapshotSource snapshots_;
  Pools& pools_;
  ApiHandler* const handler_;
  const absl::Duration timeout_;
  const size_t max_response_;
  const boost::asio::any_io_executor executor_;
};

}  // namespace insula::query_frontend
