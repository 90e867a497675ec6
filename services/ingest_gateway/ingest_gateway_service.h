// The gRPC API of the service.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "insula/ingest/v1/ingest.grpc.pb.h"
#include "libs/tenancy/snapshot.h"
#include "libs/time/clock.h"
#include "services/ingest_gateway/config.h"
#include "services/ingest_gateway/operator_pages.h"
#include "services/ingest_gateway/write_handler.h"

namespace insula::ingest_gateway {

// Answers from the present copy of the registry. Thread-safe.
class IngestGatewayService final
    : public ingest::v1::IngestGateway::CallbackService {
 public:
  using SnapshotSource =
      std::function<std::shared_ptr<const tenancy::Snapshot>()>;

  // All pointers outlive this.
  IngestGatewayService(const WriteConfig& config, SnapshotSource snapshots,
                       const Clock* clock, WriteHandler* handler,
                       const OperatorPages* pages,
                       boost::asio::any_io_executor executor);

  grpc::ServerUnaryReactor* Push(grpc::CallbackServerContext* context,
                                 const ingest::v1::PushRequest* request,
                                 ingest::v1::PushResponse* response) override;
  grpc::ServerUnaryReactor* Usage(grpc::CallbackServerContext* context,
                                  const ingest::v1::UsageRequest* request,
                                  ingest::v1::UsageResponse* response) override;
  grpc::ServerUnaryReactor* Why(grpc::CallbackServerContext* context,
                                const ingest::v1::WhyRequest* request,
                                ingest::v1::WhyResponse* response) override;

 private:
  boost::asio::awaitable<absl::Status> HandlePush(
      grpc::CallbackServerContext* context,
      const ingest::v1::PushRequest* request,
      ingest::v1::PushResponse* response);
  boost::asio::awaitable<absl::Status> HandleUsage(
      const ingest::v1::UsageRequest* request,
      ingest::v1::UsageResponse* response);
  boost::asio::awaitable<absl::Status> HandleWhy(
      const ingest::v1::WhyRequest* request, ingest::v1::WhyResponse* response);

  const SnapshotSource snapshots_;
  const WriteConfig config_;
  const Clock& clock_;
  WriteHandler* const handler_;
  const OperatorPages* const pages_;
  const boost::asio::any_io_executor executor_;
};

}  // namespace insula::ingest_gateway
