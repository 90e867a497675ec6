// The gRPC API of the service.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "insula/query/v1/query.grpc.pb.h"
#include "libs/tenancy/snapshot.h"

namespace insula::query_frontend {

// Answers from the present copy of the registry. Thread-safe.
class QueryFrontendService final
    : public query::v1::QueryFrontend::CallbackService {
 public:
  using SnapshotSource =
      std::function<std::shared_ptr<const tenancy::Snapshot>()>;

  QueryFrontendService(SnapshotSource snapshots,
                       boost::asio::any_io_executor executor);

  grpc::ServerUnaryReactor* Explain(
      grpc::CallbackServerContext* context,
      const query::v1::ExplainRequest* request,
      query::v1::ExplainResponse* response) override;

 private:
  boost::asio::awaitable<absl::Status> HandleExplain(
      const query::v1::ExplainRequest* request,
      query::v1::ExplainResponse* response);

  const SnapshotSource snapshots_;
  const boost::asio::any_io_executor executor_;
};

}  // namespace insula::query_frontend
