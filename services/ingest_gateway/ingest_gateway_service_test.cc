#include "services/ingest_gateway/ingest_gateway_service.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>

#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/rpc/grpc_status.h"
#include "libs/rpc/server.h"
#include "libs/status/status_matchers.h"
#include "libs/time/fake_clock.h"

namespace insula::ingest_gateway {
namespace {

namespace v1 = ingest::v1;
using testing::HasSubstr;

std::shared_ptr<const tenancy::Snapshot> MakeSnapshot() {
  tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
  registry::v1::Object object;
  object.mutable_meta()->set_kind(registry::v1::KIND_UPSTREAM);
  object.mutable_meta()->set_id("store");
  object.mutable_upstream()->set_write_url("http://store.example/write");
  object.mutable_upstream()->set_isolation(
      registry::v1::Upstream::ISOLATION_HEADER);
  EXPECT_THAT(builder.Put(object), IsOk());
  object.mutable_meta()->set_kind(registry::v1::KIND_TENANT);
  object.mutable_meta()->set_id("red");
  object.mutable_tenant()->set_upstream_id("store");
  EXPECT_THAT(builder.Put(object), IsOk());
  return std::move(builder).Build(1, "epoch");
}

class IngestGatewayServiceTest : public testing::Test {
 protected:
  IngestGatewayServiceTest() {
    auto server = rpc::Server::Start({}, {&service_});
    EXPECT_THAT(server, IsOk());
    server_ = *std::move(server);
    stub_ = v1::IngestGateway::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", server_->port()),
                            grpc::InsecureChannelCredentials()));
  }

  absl::Status Why(const std::string& tenant, v1::WhyResponse* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(20));
    v1::WhyRequest request;
    request.set_tenant_id(tenant);
    (*request.mutable_labels())["__name__"] = "up";
    return rpc::FromGrpc(stub_->Why(&context, request, response));
  }

  boost::asio::thread_pool pool_{1};
  const FakeClock clock_{absl::Now()};
  IngestGatewayService service_{WriteConfig(), MakeSnapshot, &clock_,
                                pool_.get_executor()};
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<v1::IngestGateway::Stub> stub_;
};

TEST_F(IngestGatewayServiceTest, ExplainsOverGrpc) {
  v1::WhyResponse response;
  ASSERT_THAT(Why("red", &response), IsOk());
  EXPECT_EQ(response.tenant_id(), "red");
  EXPECT_EQ(response.write_url(), "http://store.example/write");
}

TEST_F(IngestGatewayServiceTest, TellsWhyItCanNot) {
  v1::WhyResponse response;
  EXPECT_THAT(Why("", &response), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("binding_id")));
}

}  // namespace
}  // namespace insula::ingest_gateway
