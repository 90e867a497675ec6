#include "services/federation_pusher/federation_pusher_service.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <boost/asio/thread_pool.hpp>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/callers/snapshot_bindings.h"
#include "libs/rpc/server.h"
#include "libs/status/status_matchers.h"
#include "libs/time/clock.h"
#include "libs/tls/test_authority.h"
#include "services/federation_pusher/fake_jobs.h"

namespace insula::federation_pusher {
namespace {

namespace asio = boost::asio;
namespace v1 = federation::v1;
using testing::HasSubstr;

class ServiceTest : public testing::Test {
 protected:
  ServiceTest()
      : runner_(
            4,
            [this](std::shared_ptr<const tenancy::Snapshot> snapshot,
                   std::shared_ptr<const tenancy::Job> job, RunReport* run) {
              return FakeJobs::Execute(&jobs_, std::move(snapshot),
                                       std::move(job), run);
            },
            pool_.get_executor(), &clock_, &metrics_, &registry_),
        service_(&runner_, pool_.get_executor()),
        server_(rpc::Server::Start(rpc::ServerOptions(), {&service_}).value()),
        stub_(v1::FederationPusher::NewStub(
            grpc::CreateChannel(absl::StrCat("127.0.0.1:", server_->port()),
                                grpc::InsecureChannelCredentials()))) {}
  ~ServiceTest() override { server_.reset(); }

  grpc::Status RunNow(const std::string& id, v1::RunNowResponse* response,
                      absl::Duration timeout = absl::Seconds(20)) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
    v1::RunNowRequest request;
    request.set_job_id(id);
    return stub_->RunNow(&context, request, response);
  }

  grpc::Status ListJobs(v1::ListJobsResponse* response) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
    return stub_->ListJobs(&context, v1::ListJobsRequest(), response);
  }

  const RealClock clock_;
  metrics::Registry registry_;
  Metrics metrics_{&registry_};
  FakeJobs jobs_;
  asio::thread_pool pool_{2};
  JobRunner runner_;
  FederationPusherService service_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<v1::FederationPusher::Stub> stub_;
};

TEST_F(ServiceTest, ShowsJobsAndTheirLastRuns) {
  v1::ListJobsResponse list;
  EXPECT_EQ(ListJobs(&list).error_code(), grpc::StatusCode::UNAVAILABLE);
  runner_.Update(SnapshotOf({{"b"}, {"a", "red"}}));
  jobs_.SetOutcome("a", Failure(Result::kSourceStatus, "answered 500"));
  v1::RunNowResponse response;
  const absl::Time before = absl::Now();
  ASSERT_TRUE(RunNow("a", &response).ok());
  ASSERT_TRUE(ListJobs(&list).ok());
  ASSERT_EQ(list.jobs_size(), 2);
  EXPECT_EQ(list.jobs(0).job_id(), "a");
  EXPECT_EQ(list.jobs(0).tenant_id(), "red");
  EXPECT_EQ(list.jobs(0).runs(), 1);
  EXPECT_EQ(list.jobs(0).failed_runs(), 1);
  const v1::Run& run = list.jobs(0).last_run();
  EXPECT_EQ(run.error(), "answered 500");
  EXPECT_EQ(run.delivered_samples(), 2);
  EXPECT_GE(run.started_at().seconds(), absl::ToUnixSeconds(before));
  EXPECT_EQ(run.SerializeAsString(), response.run().SerializeAsString());
  EXPECT_FALSE(list.jobs(1).has_last_run());
}

TEST_F(ServiceTest, RunNowOfNoJobIsNotFound) {
  v1::RunNowResponse response;
  EXPECT_EQ(RunNow("a", &response).error_code(), grpc::StatusCode::UNAVAILABLE);
  runner_.Update(SnapshotOf({}));
  const grpc::Status status = RunNow("a", &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("'a'"));
}

TEST_F(ServiceTest, ARunOutlivesItsCaller) {
  runner_.Update(SnapshotOf({{"a"}}));
  jobs_.Hold("a");
  v1::RunNowResponse response;
  EXPECT_EQ(RunNow("a", &response, absl::Seconds(2)).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  ASSERT_TRUE(jobs_.AwaitRuns("a", 1));
  EXPECT_EQ(jobs_.running(), 1);
  std::thread other([&] { EXPECT_TRUE(RunNow("a", &response).ok()); });
  jobs_.Release("a");
  other.join();
  EXPECT_EQ(response.run().error(), "");
}

// Over TLS, called by somebody who has ROLE_FEDERATE for the tenant "red".
class BoundServiceTest : public ServiceTest {
 protected:
  BoundServiceTest() {
    rpc::ServerOptions options;
    options.tls =
        rpc::Tls{own_->cert_file, own_->key_file, authority_.ca_file()};
    options.bindings = &bindings_;
    options.metrics = &registry_;
    server_ = rpc::Server::Start(options, {&service_}).value();
    grpc::SslCredentialsOptions credentials;
    credentials.pem_root_certs = Read(authority_.ca_file());
    credentials.pem_cert_chain = Read(caller_->cert_file);
    credentials.pem_private_key = Read(caller_->key_file);
    stub_ = v1::FederationPusher::NewStub(grpc::CreateChannel(
        server_->address(), grpc::SslCredentials(credentials)));
    runner_.Update(SnapshotOf({{"a", "red"}, {"b", "green"}}));
  }

  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  static std::shared_ptr<const tenancy::Snapshot> Bound() {
    registry::v1::Object object;
    object.mutable_meta()->set_kind(registry::v1::KIND_BINDING);
    object.mutable_meta()->set_id("red-team");
    object.mutable_binding()->mutable_certificate()->set_uri(
        "spiffe://test/team/red");
    object.mutable_binding()->add_tenant_ids("red");
    object.mutable_binding()->add_roles(registry::v1::ROLE_FEDERATE);
    tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
    EXPECT_THAT(builder.Put(object), IsOk());
    return std::move(builder).Build(1, "epoch");
  }

  tls::TestAuthority authority_;
  const std::unique_ptr<tls::TestIdentity> own_ = authority_.Issue(
      "own", "IP:127.0.0.1,URI:spiffe://test/insula/federation-pusher");
  const std::unique_ptr<tls::TestIdentity> caller_ =
      authority_.Issue("red", "URI:spiffe://test/team/red");
  const callers::SnapshotBindings bindings_{Bound, &clock_};
};

TEST_F(BoundServiceTest, ACallerRunsTheJobsOfItsTenant) {
  v1::RunNowResponse response;
  const grpc::Status status = RunNow("a", &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(jobs_.RunsOf("a").size(), 1u);
}

TEST_F(BoundServiceTest, JobsOfOthersAndThoseThatAreNoneLookAlike) {
  v1::RunNowResponse response;
  const grpc::Status others = RunNow("b", &response);
  EXPECT_EQ(others.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  const grpc::Status none = RunNow("c", &response);
  EXPECT_EQ(none.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(none.error_message(), others.error_message());
  EXPECT_TRUE(jobs_.RunsOf("b").empty());
  v1::ListJobsResponse list;
  EXPECT_EQ(ListJobs(&list).error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST(ToProtoTest, AnErrorIsUtf8Whatever) {
  RunReport run;
  run.error = "\xff";
  EXPECT_EQ(ToProto(run).error(), "\\xff");
  run.error = "größer";
  EXPECT_EQ(ToProto(run).error(), "größer");
}

TEST(ToProtoTest, KeepsTimesToTheNanosecond) {
  RunReport run;
  run.started_at = absl::FromUnixNanos(1'700'000'000'123'456'789);
  run.took = absl::Nanoseconds(1'000'000'002);
  const v1::Run proto = ToProto(run);
  EXPECT_EQ(proto.started_at().seconds(), 1'700'000'000);
  EXPECT_EQ(proto.started_at().nanos(), 123'456'789);
  EXPECT_EQ(proto.took().seconds(), 1);
  EXPECT_EQ(proto.took().nanos(), 2);
}

}  // namespace
}  // namespace insula::federation_pusher
