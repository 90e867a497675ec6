// Queries that are exact only if the series of a selector differ in more than
// their name.

#include "services/query_frontend/unlike_series.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "services/query_frontend/api_fixture.h"
#include "services/query_frontend/explain.h"

namespace insula::query_frontend {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kRate[] = "rate({job=\"x\"}[5m])";
constexpr char kUnited[] =
    "(rate({__name__=~\"node_.*\",job=\"x\",namespace=\"blue\"}[5m]) or "
    "rate({__name__=~\".*_total\",job=\"x\",namespace=\"blue\",pod=~\"a.*\"}"
    "[5m]))";
constexpr char kOneName[] = R"({"status":"success","data":["node_total"]})";
constexpr char kTwoNames[] =
    R"({"status":"success","data":["node_a_total","node_b_total"]})";

std::string Series(const std::vector<std::string>& labels) {
  std::vector<std::string> series;
  for (const std::string& each : labels) {
    series.push_back(absl::StrCat(R"({"namespace":"blue",)", each, "}"));
  }
  return absl::StrCat(R"({"status":"success","data":[)",
                      absl::StrJoin(series, ","), "]}");
}

// Red reads of blue what two expressions for names say, one of them with a
// label more: neither names nor labels keep the two apart.
class UnlikeSeriesTest : public ApiTest {
 protected:
  UnlikeSeriesTest() {
    tenancy::SnapshotBuilder builder(*snapshot_);
    Put(&builder, v1::KIND_TENANT, "red", [](v1::Object* object) {
      object->mutable_tenant()->set_upstream_id("shared");
      (*object->mutable_tenant()->mutable_enforced_labels())["namespace"] =
          "red";
      object->mutable_tenant()->set_read_scope(v1::Tenant::READ_SCOPE_ACCESS);
    });
    Put(&builder, v1::KIND_ACCESS, "red/some", [](v1::Object* object) {
      object->mutable_access()->set_tenant_id("red");
      object->mutable_access()->add_source_tenant_ids("blue");
      object->mutable_access()->add_selectors("node_.*");
      object->mutable_access()->add_selectors(
          "{__name__=~\".*_total\",pod=~\"a.*\"}");
    });
    snapshot_ = std::move(builder).Build(8, "e");
  }

  void SetStore(std::string names, std::string series) {
    store_.SetAnswer([names = std::move(names),
                      series = std::move(series)](http::Request request)
                         -> boost::asio::awaitable<http::Response> {
      http::Response response;
      response.headers.Set("Content-Type", "application/json");
      response.body = kVector;
      if (absl::StrContains(request.target, "/label/__name__/values")) {
        response.body = names;
      } else if (absl::StrContains(request.target, "/series")) {
        response.body = series;
      } else if (absl::StrContains(request.target, "query_range")) {
        response.body =
            R"({"status":"success","data":{"resultType":"matrix","result":[]}})";
      }
      co_return response;
    });
  }

  http::Response Query(absl::string_view query, absl::string_view more = "") {
    return Post(
        "/api/v1/query",
        absl::StrCat(http::EncodeForm({{"query", std::string(query)}}), more));
  }
  http::Response QueryRange(absl::string_view query) {
    return Post("/api/v1/query_range",
                absl::StrCat(http::EncodeForm({{"query", std::string(query)}}),
                             "&start=100000&end=200000&step=1000"));
  }
  static std::string Value(const Asked& asked, absl::string_view name) {
    for (const auto& [each, value] : asked.Params()) {
      if (each == name) return value;
    }
    return "";
  }
  // Of all that the store was asked, up to the parameters.
  std::vector<std::string> Paths() {
    std::vector<std::string> paths;
    for (const Asked& asked : store_.asked()) {
      const absl::string_view target = asked.target;
      paths.emplace_back(
          absl::StripPrefix(target.substr(0, target.find('?')), "/store"));
    }
    return paths;
  }
};

constexpr char kNamesPath[] = "/api/v1/label/__name__/values";

TEST_F(UnlikeSeriesTest, SeriesOfOneNameAreUnlike) {
  SetStore(kOneName, "");
  EXPECT_EQ(Query(kRate, "&time=100000").status, 200);
  const std::vector<Asked> asked = store_.asked();
  ASSERT_THAT(Paths(), ElementsAre(kNamesPath, "/api/v1/query"));
  std::vector<std::string> matches;
  for (const auto& [name, value] : asked[0].Params()) {
    if (name == "match[]") matches.push_back(value);
  }
  EXPECT_THAT(
      matches,
      ElementsAre("{__name__=~\"node_.*\",job=\"x\",namespace=\"blue\"}",
                  "{__name__=~\".*_total\",job=\"x\",namespace=\"blue\","
                  "pod=~\"a.*\"}"));
  // An hour to either side, and the range.
  EXPECT_EQ(Value(asked[0], "start"), "96100");
  EXPECT_EQ(Value(asked[0], "end"), "103601");
  EXPECT_EQ(Value(asked[1], "query"), kUnited);
}

TEST_F(UnlikeSeriesTest, SoAreThoseOfNone) {
  SetStore(R"({"status":"success","data":[]})", "");
  EXPECT_EQ(Query(kRate).status, 200);
  EXPECT_EQ(Value(store_.asked().back(), "query"), kUnited);
}

TEST_F(UnlikeSeriesTest, OfSeveralNamesOtherLabelsMustDiffer) {
  SetStore(kTwoNames, Series({R"("__name__":"node_a_total","pod":"1")",
                              R"("__name__":"node_b_total","pod":"2")"}));
  EXPECT_EQ(Query(kRate, "&time=100000").status, 200);
  ASSERT_THAT(Paths(),
              ElementsAre(kNamesPath, "/api/v1/series", "/api/v1/query"));
  EXPECT_EQ(store_.asked()[0].Params(), store_.asked()[1].Params());
  EXPECT_EQ(Value(store_.asked()[2], "query"), kUnited);
}

TEST_F(UnlikeSeriesTest, AlikeSeriesAreRefused) {
  for (const char* other :
       {R"("pod":"1")", R"("pod":"1","__type__":"gauge","__unit__":"s")"}) {
    SetStore(kTwoNames,
             Series({R"("__name__":"node_a_total","pod":"1")",
                     absl::StrCat(R"("__name__":"node_b_total",)", other)}));
    const http::Response answer = Query(kRate);
    EXPECT_EQ(answer.status, 422);
    EXPECT_THAT(answer.body,
                HasSubstr("{job=\\\"x\\\"} is a union of grants below a "
                          "function that drops the name, and two of its series "
                          "differ in nothing but the name; add a metric name"));
    EXPECT_THAT(Paths(), Not(testing::Contains("/api/v1/query")));
  }
}

TEST_F(UnlikeSeriesTest, TheSameSeriesTwiceIsOne) {
  SetStore(kTwoNames, Series({R"("__name__":"node_a_total","pod":"1")",
                              R"("pod":"1","__name__":"node_a_total")"}));
  EXPECT_EQ(Query(kRate).status, 200);
}

TEST_F(UnlikeSeriesTest, TheTimesHoldWhateverIsRead) {
  SetStore(kOneName, "");
  EXPECT_EQ(QueryRange("max_over_time(rate({job=\"x\"}[10m] offset 1h)[2h:1m]) "
                       "+ rate({job=\"x\"}[5m] @ 50000 offset -7s)")
                .status,
            200);
  const Asked first = store_.asked().front();
  // 10m + 1h + 2h + 1m + 5m, and an hour.
  EXPECT_EQ(Value(first, "start"), absl::StrCat(50'000 - 11'760 - 3600));
  EXPECT_EQ(Value(first, "end"), absl::StrCat(200'001 + 7 + 3600));
}

TEST_F(UnlikeSeriesTest, ALongLookbackIsInThem) {
  SetStore(kOneName, "");
  EXPECT_EQ(
      Query("timestamp({job=\"x\"})", "&time=100000&lookback_delta=2h").status,
      200);
  EXPECT_EQ(Value(store_.asked().front(), "start"), "92800");
}

TEST_F(UnlikeSeriesTest, ItIsAskedAnewForAnAnswerThatIsKept) {
  SetStore(kOneName, "");
  EXPECT_EQ(QueryRange(kRate).status, 200);
  EXPECT_EQ(QueryRange(kRate).status, 200);
  EXPECT_THAT(Paths(),
              ElementsAre(kNamesPath, "/api/v1/query_range", kNamesPath));
  SetStore(kTwoNames, Series({R"("__name__":"node_a_total","pod":"1")",
                              R"("__name__":"node_b_total","pod":"1")"}));
  EXPECT_EQ(QueryRange(kRate).status, 422);
}

TEST_F(UnlikeSeriesTest, OnceForEachSelectorAndBounded) {
  SetStore(kOneName, "");
  EXPECT_EQ(Query(absl::StrCat(kRate, " + ", kRate)).status, 200);
  EXPECT_THAT(store_.asked(), SizeIs(2));
  std::vector<std::string> operands;
  for (size_t i = 0; i <= kMaxUnlike; ++i) {
    operands.push_back(absl::StrCat("rate({job=\"", i, "\"}[5m])"));
  }
  const http::Response answer = Query(absl::StrJoin(operands, " + "));
  EXPECT_EQ(answer.status, 422);
  EXPECT_THAT(answer.body, HasSubstr("as 8 others of the query"));
  EXPECT_THAT(store_.asked(), SizeIs(2));
}

TEST_F(UnlikeSeriesTest, TooManySeriesAreNotCompared) {
  std::vector<std::string> many;
  for (size_t i = 0; i <= kMaxCompared; ++i) {
    many.push_back(
        absl::StrCat(R"("__name__":"node_a_total","pod":")", i, "\""));
  }
  SetStore(kTwoNames, Series(many));
  const http::Response answer = Query(kRate);
  EXPECT_EQ(answer.status, 422);
  EXPECT_THAT(answer.body, HasSubstr("of more than 20000 series"));
}

TEST_F(UnlikeSeriesTest, WhatIsRefusedForAnotherReasonAsksNothing) {
  SetStore(kOneName, "");
  EXPECT_EQ(Query("rate({job=\"x\"}[5m]) + info(up)").status, 400);
  EXPECT_EQ(Query("sum(").status, 400);
  EXPECT_THAT(store_.asked(), IsEmpty());
}

TEST_F(UnlikeSeriesTest, AStoreThatDoesNotSayAllLeavesNoAnswer) {
  const std::string unlike = Series({R"("__name__":"node_a_total","pod":"1")"});
  const auto warned = [](std::string answer) {
    answer.insert(answer.size() - 1, R"(,"warnings":["a store is down"])");
    return answer;
  };
  SetStore(warned(kOneName), unlike);
  EXPECT_EQ(Query(kRate).status, 422);
  SetStore(kTwoNames, warned(unlike));
  const http::Response answer = Query(kRate);
  EXPECT_EQ(answer.status, 422);
  EXPECT_THAT(answer.body, HasSubstr("does not say of all series"));
  for (const char* odd :
       {R"({"status":"success","data":{}})",
        R"({"status":"success","data":[1]})",
        R"({"status":"success","data":["a"],"isPartial":true})", "down"}) {
    SetStore(odd, unlike);
    EXPECT_EQ(Query(kRate).status, 502) << odd;
    SetStore(kTwoNames, odd);
    EXPECT_EQ(Query(kRate).status, 502) << odd;
  }
  SetStore(
      kTwoNames,
      R"({"status":"success","data":[{"__name__":"up","namespace":"red"}]})");
  EXPECT_EQ(Query(kRate).status, 500);
  store_.SetAnswer(nullptr);
  store_.SetAnswer(503, "down", "text/plain");
  EXPECT_THAT(Query(kRate).status, testing::Ge(500));
  EXPECT_THAT(Paths(), Not(testing::Contains("/api/v1/query")));
}

TEST_F(UnlikeSeriesTest, NotesAreNoWarnings) {
  std::string noted = kOneName;
  noted.insert(noted.size() - 1, R"(,"warnings":[],"infos":["fast"])");
  SetStore(noted, "");
  EXPECT_EQ(Query(kRate).status, 200);
}

TEST_F(UnlikeSeriesTest, ExplainSaysSo) {
  query::v1::ExplainRequest request;
  request.set_tenant_id("red");
  request.set_query(kRate);
  const auto told = ExplainQuery(request, *snapshot_, &pools_);
  ASSERT_TRUE(told.ok()) << told.status();
  EXPECT_EQ(told->query(), kUnited);
  EXPECT_THAT(told->unlike(), ElementsAre("{job=\"x\"}"));
  EXPECT_THAT(store_.asked(), IsEmpty());
}

}  // namespace
}  // namespace insula::query_frontend
