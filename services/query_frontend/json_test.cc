#include "services/query_frontend/json.h"

#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <utility>

#include "libs/status/status_matchers.h"
#include "services/query_frontend/endpoint.h"

namespace insula::query_frontend {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Of a tenant with the enforced label namespace="red".
const SharedReads& Red() {
  static const std::shared_ptr<const tenancy::ReadPolicy> reads = [] {
    tenancy::v1::Object upstream;
    upstream.mutable_meta()->set_kind(tenancy::v1::KIND_UPSTREAM);
    upstream.mutable_meta()->set_id("store");
    upstream.mutable_upstream()->set_query_url("http://h");
    upstream.mutable_upstream()->set_isolation(
        tenancy::v1::Upstream::ISOLATION_LABEL);
    tenancy::v1::Object red;
    red.mutable_meta()->set_kind(tenancy::v1::KIND_TENANT);
    red.mutable_meta()->set_id("red");
    red.mutable_tenant()->set_upstream_id("store");
    (*red.mutable_tenant()->mutable_enforced_labels())["namespace"] = "red";
    tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
    EXPECT_THAT(builder.Put(upstream), IsOk());
    EXPECT_THAT(builder.Put(red), IsOk());
    const auto snapshot = std::move(builder).Build(1, "e");
    return tenancy::ReadPolicyOf(*snapshot, *snapshot->FindTenant("red"));
  }();
  return reads;
}

DataReader ReaderOf(Endpoint endpoint, const std::string& label = "job") {
  switch (endpoint) {
    case Endpoint::kQuery:
    case Endpoint::kQueryRange:
      return ReadResult(endpoint == Endpoint::kQueryRange, /*raw=*/false,
                        Red());
    case Endpoint::kSeries:
      return ReadSeries(Red());
    case Endpoint::kLabelValues:
      return ReadLabelValues(label, Red());
    default:
      return ReadNames();
  }
}

absl::StatusOr<Answer> Read(Endpoint endpoint, std::string body,
                            int http_status = 200) {
  return ReadAnswer(http_status, std::move(body), ReaderOf(endpoint));
}

TEST(ErrorJsonTest, HasPrometheusShapeAndEscapes) {
  EXPECT_EQ(ErrorJson("bad_data", "a \"b\"\n\x01"),
            R"({"status":"error","errorType":"bad_data",)"
            R"("error":"a \"b\"\n\u0001"})");
  EXPECT_THAT(ErrorJson("bad_data",
                        "a\xff"
                        "b"),
              HasSubstr("a\xef\xbf\xbd"
                        "b"));
}

TEST(BuildInfoTest, LooksLikePrometheus) {
  EXPECT_EQ(BuildInfoJson("2.42.0"),
            R"({"status":"success","data":{"application":"Insula",)"
            R"("version":"2.42.0","revision":"","branch":"","buildUser":"",)"
            R"("buildDate":"","goVersion":""}})");
}

TEST(ReadAnswerTest, RelaysAnAnswerUntouched) {
  const std::string vector =
      R"({"status":"success","data":{"resultType":"vector","result":)"
      R"([{"metric":{"a":"}\"]"},"value":[1.5,"NaN"]}]}})";
  const auto answer = Read(Endpoint::kQuery, vector);
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->http_status, 200);
  EXPECT_EQ(answer->body, vector);
}

TEST(ReadAnswerTest, KeepsDataAndWarningsOfPromqlOnly) {
  const auto answer = Read(
      Endpoint::kQuery,
      R"({"status":"success", "secret":"x", "isPartial":false,)"
      R"( "data" : {"resultType":"scalar","result":[1,"} ,\"data\":\\"]} ,)"
      R"("warnings":["PromQL info: a","http://store:9090 is down"],)"
      R"("infos":["PromQL info: b"]})");
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->body,
            R"({"status":"success","data": {"resultType":"scalar",)"
            R"("result":[1,"} ,\"data\":\\"]} ,)"
            R"("warnings":["PromQL info: a","insula: the upstream gave a )"
            R"(warning of its own, the operator finds it in the log"],)"
            R"("infos":["PromQL info: b"]})");
  EXPECT_THAT(answer->withheld, HasSubstr("http://store:9090"));
}

TEST(ReadAnswerTest, RefusesAPartOfTheData) {
  EXPECT_THAT(
      Read(Endpoint::kQuery, R"({"status":"success","isPartial":true,"data":)"
                             R"({"resultType":"vector","result":[]}})"),
      StatusIs(absl::StatusCode::kInternal));
}

TEST(ReadAnswerTest, KeepsTheTextOfErrorsAboutTheQuery) {
  const std::string body =
      R"({"status":"error","errorType":"execution","error":"too many samples",)"
      R"("data":["x"]})";
  const auto answer = Read(Endpoint::kQuery, body, 422);
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->http_status, 422);
  EXPECT_EQ(answer->body, ErrorJson("execution", "too many samples"));
}

TEST(ReadAnswerTest, ReplacesTheTextOfErrorsAboutTheUpstream) {
  const auto answer = Read(Endpoint::kQuery,
                           R"({"status":"error","errorType":"internal",)"
                           R"("error":"Post \"http://store:9090\": refused"})",
                           500);
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->http_status, 500);
  EXPECT_THAT(answer->body, Not(HasSubstr("store:9090")));
  EXPECT_THAT(answer->withheld, HasSubstr("store:9090"));
}

TEST(ReadAnswerTest, LetsSeriesOfTheTenantPass) {
  EXPECT_THAT(
      Read(Endpoint::kSeries,
           R"({"status":"success","data":[{"a":"b","namespace":"red"}]})"),
      IsOk());
  EXPECT_THAT(Read(Endpoint::kSeries, R"({"status":"success","data":[]})"),
              IsOk());
}

class LeakTest
    : public testing::TestWithParam<std::pair<Endpoint, std::string>> {};

TEST_P(LeakTest, IsWithheld) {
  const auto answer = ReadAnswer(
      200, R"({"status":"success","data":)" + GetParam().second + "}",
      ReaderOf(GetParam().first, "namespace"));
  EXPECT_THAT(answer,
              StatusIs(absl::StatusCode::kDataLoss, Not(HasSubstr("canary"))));
}

INSTANTIATE_TEST_SUITE_P(
    All, LeakTest,
    testing::Values(
        std::pair(Endpoint::kSeries, R"([{"namespace":"canary"}])"),
        std::pair(Endpoint::kSeries, R"([{"a":"canary"}])"),
        std::pair(Endpoint::kSeries, R"([{"namespace":"red","a":"b"},{}])"),
        std::pair(Endpoint::kSeries, R"([{"namespace":["red"]}])"),
        std::pair(Endpoint::kSeries, R"([{"namespace":"Red"}])"),
        std::pair(Endpoint::kSeries, R"([{"Namespace":"red"}])"),
        std::pair(Endpoint::kSeries, R"([{"namespace":"red "}])"),
        std::pair(Endpoint::kSeries,
                  R"([{"namespace":"red","namespace":"canary"}])"),
        std::pair(Endpoint::kSeries,
                  R"([{"namespace":"canary","namespac\u0065":"red"}])"),
        std::pair(Endpoint::kLabelValues, R"(["red","canary"])"),
        std::pair(Endpoint::kLabelValues, R"([""])")));

class GarbageTest
    : public testing::TestWithParam<std::pair<Endpoint, std::string>> {};

TEST_P(GarbageTest, IsRefusedWithoutAByteOfIt) {
  EXPECT_THAT(Read(GetParam().first, GetParam().second),
              StatusIs(absl::StatusCode::kInternal, Not(HasSubstr("canary"))))
      << GetParam().second;
}

INSTANTIATE_TEST_SUITE_P(
    All, GarbageTest,
    testing::Values(
        std::pair(Endpoint::kQuery, ""), std::pair(Endpoint::kQuery, "canary"),
        std::pair(Endpoint::kQuery, "<html>canary</html>"),
        std::pair(Endpoint::kQuery, "[]"), std::pair(Endpoint::kQuery, "null"),
        std::pair(Endpoint::kQuery, "{}"),
        std::pair(Endpoint::kQuery, R"({"status":"success"})"),
        std::pair(Endpoint::kQuery, R"({"status":"success","data":null})"),
        std::pair(Endpoint::kQuery, R"({"status":"success","data":"canary"})"),
        std::pair(Endpoint::kQuery, R"({"status":"success","data":[]})"),
        std::pair(Endpoint::kQuery,
                  R"({"status":"success","data":{"resultType":"vector"}})"),
        std::pair(Endpoint::kQuery, R"({"status":"success","data":)"
                                    R"({"resultType":"canary","result":[]}})"),
        std::pair(Endpoint::kQuery, R"({"status":"success","data":)"
                                    R"({"resultType":"vector","result":[]})"),
        std::pair(Endpoint::kQuery, R"({"status":"success","data":)"
                                    R"({"resultType":"vector","result":[]}}x)"),
        std::pair(Endpoint::kQueryRange,
                  R"({"status":"success","data":)"
                  R"({"resultType":"vector","result":[]}})"),
        std::pair(Endpoint::kSeries,
                  R"({"status":"success","data":{"canary":1}})"),
        std::pair(Endpoint::kSeries, R"({"status":"success","data":["a"]})"),
        std::pair(Endpoint::kLabels, R"({"status":"success","data":[1]})"),
        std::pair(Endpoint::kLabelValues,
                  R"({"status":"success","data":{"a":"b"}})"),
        std::pair(Endpoint::kLabels,
                  R"({"status":"success","data":["a"],"data":["canary"]})"),
        std::pair(Endpoint::kLabels,
                  R"({"status":"success","data":["a"],"d\u0061ta":["b"]})"),
        std::pair(Endpoint::kLabels,
                  R"({"status":"success","d\u0061ta":["b"],"x":1})"),
        std::pair(Endpoint::kLabels,
                  "{\"status\":\"success\",\"data\":[\"\xff\"]}"),
        std::pair(Endpoint::kLabels,
                  R"({"status":"error","errorType":"bad_data","error":"x"})"),
        std::pair(Endpoint::kLabels, std::string(5000, '['))));

TEST(ReadAnswerTest, RefusesASuccessWithAnErrorStatus) {
  EXPECT_THAT(Read(Endpoint::kLabels, R"({"status":"success","data":[]})", 500),
              StatusIs(absl::StatusCode::kInternal));
  EXPECT_THAT(
      Read(Endpoint::kLabels,
           R"({"status":"error","errorType":"odd","error":"canary"})", 400),
      StatusIs(absl::StatusCode::kInternal, Not(HasSubstr("canary"))));
}

}  // namespace
}  // namespace insula::query_frontend
