#include "services/federation_pusher/federation_pusher_service.h"

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/time/time.h"
#include "libs/labels/validity.h"
#include "libs/rpc/serve.h"
#include "libs/status/status_macros.h"

namespace insula::federation_pusher {
namespace {

namespace asio = boost::asio;
namespace v1 = federation::v1;

constexpr int64_t kNanos = 1'000'000'000;

// Of google.protobuf.Timestamp and Duration.
template <typename Message>
void SetNanoseconds(absl::Duration value, Message* message) {
  absl::Duration rest;
  message->set_seconds(absl::IDivDuration(value, absl::Seconds(1), &rest));
  message->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(rest) % kNanos));
}

}  // namespace

v1::Run ToProto(const RunReport& run) {
  v1::Run proto;
  SetNanoseconds(run.started_at - absl::UnixEpoch(),
                 proto.mutable_started_at());
  SetNanoseconds(run.took, proto.mutable_took());
  proto.set_scraped_bytes(run.scraped_bytes);
  proto.set_scraped_samples(run.scraped_samples);
  proto.set_delivered_samples(run.delivered_samples);
  proto.set_error(labels::IsValidUtf8(run.error) ? run.error
                                                 : absl::CHexEscape(run.error));
  return proto;
}

FederationPusherService::FederationPusherService(JobRunner* runner,
                                                 asio::any_io_executor executor)
    : runner_(runner), executor_(std::move(executor)) {}

grpc::ServerUnaryReactor* FederationPusherService::ListJobs(
    grpc::CallbackServerContext* context, const v1::ListJobsRequest* request,
    v1::ListJobsResponse* response) {
  return rpc::Serve(context, request, executor_, HandleListJobs(response));
}

grpc::ServerUnaryReactor* FederationPusherService::RunNow(
    grpc::CallbackServerContext* context, const v1::RunNowRequest* request,
    v1::RunNowResponse* response) {
  return rpc::ServeFor(context, request, runner_->TenantOf(request->job_id()),
                       executor_, HandleRunNow(request, response));
}

asio::awaitable<absl::Status> FederationPusherService::HandleListJobs(
    v1::ListJobsResponse* response) {
  CO_ASSIGN_OR_RETURN(const std::vector<JobStatus> jobs, runner_->List());
  for (const JobStatus& job : jobs) {
    v1::JobStatus* const proto = response->add_jobs();
    proto->set_job_id(job.job_id);
    proto->set_tenant_id(job.tenant_id);
    proto->set_runs(job.runs);
    proto->set_failed_runs(job.failed_runs);
    if (job.last_run.has_value()) {
      *proto->mutable_last_run() = ToProto(*job.last_run);
    }
  }
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> FederationPusherService::HandleRunNow(
    const v1::RunNowRequest* request, v1::RunNowResponse* response) {
  CO_ASSIGN_OR_RETURN(const RunReport run,
                      co_await runner_->RunNow(request->job_id()));
  *response->mutable_run() = ToProto(run);
  co_return absl::OkStatus();
}

}  // namespace insula::federation_pusher
