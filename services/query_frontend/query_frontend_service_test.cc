#include "services/query_frontend/query_frontend_service.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/http/client.h"
#include "libs/metrics/metrics.h"
#include "libs/rpc/grpc_status.h"
#include "libs/rpc/server.h"
#include "libs/status/status_matchers.h"
#include "services/query_frontend/api_fixture.h"

namespace insula::query_frontend {
namespace {

namespace query_v1 = query::v1;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;
using testing::UnorderedElementsAre;

class QueryFrontendServiceTest : public ApiTest {
 protected:
  QueryFrontendServiceTest() {
    auto server = rpc::Server::Start({}, {&service_});
    EXPECT_THAT(server, IsOk());
    server_ = *std::move(server);
    stub_ = query_v1::QueryFrontend::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", server_->port()),
                            grpc::InsecureChannelCredentials()));
  }

  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (query_v1::QueryFrontend::Stub::*method)(
                        grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(20));
    return rpc::FromGrpc((stub_.get()->*method)(&context, request, response));
  }

  absl::Status Explain(const std::string& query,
                       query_v1::ExplainResponse* response) {
    query_v1::ExplainRequest request;
    request.set_tenant_id("red");
    request.set_query(query);
    return Call(&query_v1::QueryFrontend::Stub::Explain, request, response);
  }

  absl::Status Query(const query_v1::QueryRequest& request) {
    query_v1::QueryResponse response;
    const absl::Status status =
        Call(&query_v1::QueryFrontend::Stub::Query, request, &response);
    json_ = response.json();
    return status;
  }

  static query_v1::QueryRequest Of(const std::string& tenant,
                                   const std::string& query) {
    query_v1::QueryRequest request;
    request.set_tenant_id(tenant);
    request.set_query(query);
    return request;
  }

  std::string json_;
  QueryFrontendService service_{[this] { return snapshot_; },
                                &pools_,
                                &handler_,
                                absl::Seconds(20),
                                kMaxResponse,
                                pool_.get_executor()};
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<query_v1::QueryFrontend::Stub> stub_;
};

TEST_F(QueryFrontendServiceTest, ExplainsOverGrpc) {
  query_v1::ExplainResponse response;
  ASSERT_THAT(Explain("up", &response), IsOk());
  EXPECT_EQ(response.query(), "up{namespace=\"red\"}");
}

TEST_F(QueryFrontendServiceTest, TellsWhyItCanNot) {
  query_v1::ExplainResponse response;
  EXPECT_THAT(Explain("up{", &response),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("query")));
}

// Over HTTP it would pass on in pieces.
TEST_F(QueryFrontendServiceTest, ALongAnswerComesAsAWholeOrNotAtAll) {
  const auto matrix = [](size_t bytes) {
    std::string text =
        R"({"status":"success","data":{"resultType":"matrix","result":[)";
    while (text.size() < bytes) {
      absl::StrAppend(&text, R"({"metric":{},"values":[[1,"2"]]},)");
    }
    text.back() = ']';
    return text + "}}";
  };
  store_.SetAnswer(200, matrix(kMaxResponse / 2));
  ASSERT_THAT(Query(Of("red", "sum(up)")), IsOk());
  EXPECT_TRUE(json_ == matrix(kMaxResponse / 2));
  store_.SetAnswer(200, matrix(kMaxResponse));
  EXPECT_THAT(Query(Of("red", "sum(up)")),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("upstream.max_response, which is 1048576")));
}

TEST_F(QueryFrontendServiceTest, AQueryIsConfinedAndAnsweredAsOverHttp) {
  store_.SetAnswer(200, kVector);
  query_v1::QueryRequest request = Of("red", R"(sum(up{namespace="blue"}))");
  request.mutable_time()->set_seconds(12);
  request.mutable_time()->set_nanos(500'000'000);
  request.mutable_timeout()->set_seconds(3);
  ASSERT_THAT(Query(request), IsOk());
  EXPECT_EQ(json_, kVector);
  ASSERT_THAT(store_.asked(), SizeIs(1));
  EXPECT_EQ(store_.asked()[0].target, "/store/api/v1/query");
  EXPECT_THAT(store_.asked()[0].Params(),
              UnorderedElementsAre(
                  Pair("query", R"(sum(up{namespace="blue",namespace="red"}))"),
                  Pair("time", "1970-01-01T00:00:12.500000000Z"),
                  Pair("timeout", "3.000000000")));
}

TEST_F(QueryFrontendServiceTest, ARangeQueryTakesStartEndAndStep) {
  store_.SetAnswer(
      200,
      R"({"status":"success","data":{"resultType":"matrix","result":[]}})");
  query_v1::QueryRangeRequest request;
  request.set_tenant_id("red");
  request.set_query("rate(x[5m])");
  request.mutable_start()->set_seconds(0);
  request.mutable_end()->set_seconds(60);
  query_v1::QueryRangeResponse response;
  EXPECT_THAT(
      Call(&query_v1::QueryFrontend::Stub::QueryRange, request, &response),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("step")));
  request.mutable_step()->set_seconds(-1);
  EXPECT_THAT(
      Call(&query_v1::QueryFrontend::Stub::QueryRange, request, &response),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("step")));
  EXPECT_THAT(store_.asked(), IsEmpty());
  request.mutable_step()->set_seconds(1);
  request.mutable_step()->set_nanos(500'000'000);
  ASSERT_THAT(
      Call(&query_v1::QueryFrontend::Stub::QueryRange, request, &response),
      IsOk());
  EXPECT_THAT(response.json(), HasSubstr("matrix"));
  EXPECT_THAT(
      store_.asked()[0].Params(),
      UnorderedElementsAre(Pair("query", R"(rate(x{namespace="red"}[5m]))"),
                           Pair("start", "0.000"), Pair("end", "60.000"),
                           Pair("step", "1.500000000")));
}

TEST_F(QueryFrontendServiceTest, SeriesOfAnotherTenantAreWithheld) {
  query_v1::SeriesRequest request;
  request.set_tenant_id("red");
  query_v1::SeriesResponse response;
  EXPECT_THAT(
      Call(&query_v1::QueryFrontend::Stub::Series, request, &response),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("match[]")));
  request.add_match("up");
  request.add_match("{job=\"a\"}");
  ASSERT_THAT(Call(&query_v1::QueryFrontend::Stub::Series, request, &response),
              IsOk());
  EXPECT_THAT(store_.asked()[0].Params(),
              ElementsAre(Pair("match[]", R"({__name__="up",namespace="red"})"),
                          Pair("match[]", R"({job="a",namespace="red"})")));
  store_.SetAnswer(200,
                   R"({"status":"success","data":[{"namespace":"blue"}]})");
  query_v1::SeriesResponse withheld;
  EXPECT_THAT(Call(&query_v1::QueryFrontend::Stub::Series, request, &withheld),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("withheld")));
  EXPECT_EQ(withheld.json(), "");
}

TEST_F(QueryFrontendServiceTest, ErrorsHaveTheCodesOfTheirKind) {
  EXPECT_THAT(Query(Of("red", "up{")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("parse")));
  EXPECT_THAT(
      Query(Of("nobody", "up")),
      StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("nobody")));
  EXPECT_THAT(
      Query(Of("homeless", "up")),
      StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("homeless")));
  EXPECT_THAT(Query(Of("cut", "up")),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("down")));
  EXPECT_THAT(store_.asked(), IsEmpty());
  store_.SetAnswer(200, "nonsense");
  EXPECT_THAT(Query(Of("red", "up")),
              StatusIs(absl::StatusCode::kUnknown, HasSubstr("shared")));
}

}  // namespace
}  // namespace insula::query_frontend
