// The gRPC API of the service.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "absl/status/status.h"
#include "insula/federation/v1/federation.grpc.pb.h"
#include "services/federation_pusher/job_runner.h"
#include "services/federation_pusher/run.h"

namespace insula::federation_pusher {

// A run as the API shows it. Bytes of an error that are not UTF-8 are escaped.
federation::v1::Run ToProto(const RunReport& run);

// Thread-safe.
class FederationPusherService final
    : public federation::v1::FederationPusher::CallbackService {
 public:
  // `runner` outlives this.
  FederationPusherService(JobRunner* runner,
                          boost::asio::any_io_executor executor);

  grpc::ServerUnaryReactor* ListJobs(
      grpc::CallbackServerContext* context,
      const federation::v1::ListJobsRequest* request,
      federation::v1::ListJobsResponse* response) override;
  grpc::ServerUnaryReactor* RunNow(
      grpc::CallbackServerContext* context,
      const federation::v1::RunNowRequest* request,
      federation::v1::RunNowResponse* response) override;

 private:
  boost::asio::awaitable<absl::Status> HandleListJobs(
      federation::v1::ListJobsResponse* response);
  boost::asio::awaitable<absl::Status> HandleRunNow(
      const federation::v1::RunNowRequest* request,
      federation::v1::RunNowResponse* response);

  JobRunner* const runner_;
  const boost::asio::any_io_executor executor_;
};

}  // namespace insula::federation_pusher
