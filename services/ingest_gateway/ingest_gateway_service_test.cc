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
#include "services/ingest_gateway/write_fixture.h"

namespace insula::ingest_gateway {
namespace {

namespace v1 = ingest::v1;
using testing::HasSubstr;

std::shared_ptr<const tenancy::Snapshot> MakeSnapshot(const std::string& url) {
  tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
  registry::v1::Object object;
  object.mutable_meta()->set_kind(registry::v1::KIND_UPSTREAM);
  object.mutable_meta()->set_id("store");
  object.mutable_upstream()->set_write_url(url);
  object.mutable_upstream()->set_isolation(
      registry::v1::Upstream::ISOLATION_HEADER);
  EXPECT_THAT(builder.Put(object), IsOk());
  object.mutable_meta()->set_kind(registry::v1::KIND_TENANT);
  object.mutable_meta()->set_id("red");
  object.mutable_tenant()->set_upstream_id("store");
  EXPECT_THAT(builder.Put(object), IsOk());
  object.mutable_meta()->set_id("gone");
  object.mutable_tenant()->set_state(registry::v1::Tenant::STATE_SUSPENDED);
  EXPECT_THAT(builder.Put(object), IsOk());
  return std::move(builder).Build(1, "epoch");
}

http::ClientOptions StoreClientOptions() {
  http::ClientOptions options;
  options.name = "upstream";
  return options;
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

  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (v1::IngestGateway::Stub::*method)(
                        grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(20));
    absl::Status status =
        rpc::FromGrpc((stub_.get()->*method)(&context, request, response));
    for (const auto& [name, value] : context.GetServerTrailingMetadata()) {
      if (name == "retry-after") {
        retry_after_ = std::string(value.data(), value.size());
      }
    }
    return status;
  }

  absl::Status Push(const std::string& tenant, const std::string& body) {
    v1::PushRequest request;
    request.set_tenant_id(tenant);
    request.set_body(body);
    v1::PushResponse response;
    return Call(&v1::IngestGateway::Stub::Push, request, &response);
  }

  boost::asio::thread_pool pool_{2};
  metrics::Registry metrics_;
  const FakeClock clock_{absl::Now()};
  FakeStore store_{pool_.get_executor(), &metrics_};
  http::Client client_{StoreClientOptions(), pool_.get_executor(), &metrics_};
  const std::function<std::shared_ptr<const tenancy::Snapshot>()> snapshots_ =
      [this] { return MakeSnapshot(store_.url()); };
  UpstreamSender sender_{"insula/test", &client_, &clock_, &metrics_};
  WriteHandler handler_{WriteConfig(),        snapshots_, &sender_,
                        pool_.get_executor(), &clock_,    &metrics_};
  const OperatorPages pages_{WriteConfig(),
                             {snapshots_, {}},
                             &clock_,
                             &handler_.usage(),
                             &handler_.refusals()};
  IngestGatewayService service_{WriteConfig(), snapshots_,
                                &clock_,       &handler_,
                                &pages_,       pool_.get_executor()};
  std::string retry_after_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<v1::IngestGateway::Stub> stub_;
};

TEST_F(IngestGatewayServiceTest, ExplainsOverGrpc) {
  v1::WhyResponse response;
  ASSERT_THAT(Why("red", &response), IsOk());
  EXPECT_EQ(response.tenant_id(), "red");
  EXPECT_EQ(response.write_url(), store_.url());
}

TEST_F(IngestGatewayServiceTest, TakesWritesForATenant) {
  EXPECT_THAT(Push("red", BodyOf({"x"})), IsOk());
  const auto seen = store_.TakeSeen();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].tenant, "red");
  v1::UsageResponse usage;
  ASSERT_THAT(Call(&v1::IngestGateway::Stub::Usage, v1::UsageRequest(), &usage),
              IsOk());
  ASSERT_EQ(usage.tenants_size(), 1);
  EXPECT_EQ(usage.tenants(0).tenant_id(), "red");
  EXPECT_EQ(usage.tenants(0).samples(), 1);
  EXPECT_FALSE(usage.tenants(0).has_active_series());
}

TEST_F(IngestGatewayServiceTest, AnswersPushAsItAnswersAWrite) {
  EXPECT_THAT(Push("", BodyOf({"x"})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("tenant_id: name the tenant")));
  EXPECT_THAT(Push("nobody", BodyOf({"x"})),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(Push("gone", BodyOf({"x"})),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(Push("red", "garbage"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(
      Push("red", Compressed(Message({{{"a", "b"}}, {{"__name__", "up"}}}))),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("missing_metric_name: 1 series")));
  EXPECT_EQ(store_.TakeSeen().size(), 1u);
  EXPECT_EQ(retry_after_, "");
  store_.SetMood("red", {.status = 503});
  EXPECT_THAT(Push("red", BodyOf({"x"})),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(retry_after_, "5");
}

TEST_F(IngestGatewayServiceTest, TellsWhyItCanNot) {
  v1::WhyResponse response;
  EXPECT_THAT(Why("", &response), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("binding_id")));
}

}  // namespace
}  // namespace insula::ingest_gateway
