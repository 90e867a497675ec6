#include "services/query_frontend/query_frontend_service.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>

#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/rpc/grpc_status.h"
#include "libs/rpc/server.h"
#include "libs/status/status_matchers.h"

namespace insula::query_frontend {
namespace {

namespace v1 = query::v1;
using testing::HasSubstr;

std::shared_ptr<const tenancy::Snapshot> MakeSnapshot() {
  tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
  registry::v1::Object object;
  object.mutable_meta()->set_kind(registry::v1::KIND_UPSTREAM);
  object.mutable_meta()->set_id("store");
  object.mutable_upstream()->set_query_url("http://store.example/");
  object.mutable_upstream()->set_isolation(
      registry::v1::Upstream::ISOLATION_LABEL);
  EXPECT_THAT(builder.Put(object), IsOk());
  object.mutable_meta()->set_kind(registry::v1::KIND_TENANT);
  object.mutable_meta()->set_id("red");
  object.mutable_tenant()->set_upstream_id("store");
  (*object.mutable_tenant()->mutable_enforced_labels())["team"] = "red";
  EXPECT_THAT(builder.Put(object), IsOk());
  return std::move(builder).Build(1, "epoch");
}

class QueryFrontendServiceTest : public testing::Test {
 protected:
  QueryFrontendServiceTest() {
    auto server = rpc::Server::Start({}, {&service_});
    EXPECT_THAT(server, IsOk());
    server_ = *std::move(server);
    stub_ = v1::QueryFrontend::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", server_->port()),
                            grpc::InsecureChannelCredentials()));
  }

  absl::Status Explain(const std::string& query,
                       v1::ExplainResponse* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(20));
    v1::ExplainRequest request;
    request.set_tenant_id("red");
    request.set_query(query);
    return rpc::FromGrpc(stub_->Explain(&context, request, response));
  }

  boost::asio::thread_pool pool_{1};
  QueryFrontendService service_{MakeSnapshot, pool_.get_executor()};
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<v1::QueryFrontend::Stub> stub_;
};

TEST_F(QueryFrontendServiceTest, ExplainsOverGrpc) {
  v1::ExplainResponse response;
  ASSERT_THAT(Explain("up", &response), IsOk());
  EXPECT_EQ(response.query(), "up{team=\"red\"}");
}

TEST_F(QueryFrontendServiceTest, TellsWhyItCanNot) {
  v1::ExplainResponse response;
  EXPECT_THAT(Explain("up{", &response),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("query")));
}

}  // namespace
}  // namespace insula::query_frontend
