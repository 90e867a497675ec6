// Stores that are said to be a VictoriaMetrics.

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/query_frontend/api_fixture.h"
#include "services/query_frontend/explain.h"

namespace insula::query_frontend {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kFilter[] = "extra_filters[]";
constexpr char kMatrix[] =
    R"({"status":"success","data":{"resultType":"matrix","result":[]}})";

std::vector<std::string> All(const http::Params& params,
                             absl::string_view name) {
  std::vector<std::string> values;
  for (const auto& [each, value] : params) {
    if (each == name) values.push_back(value);
  }
  return values;
}

// Red reads its own series, and those of blue with code 5.
class VictoriaMetricsTest : public ApiTest {
 protected:
  // What the store makes of filters.
  enum class Filters { kReads, kDrops };

  VictoriaMetricsTest() {
    Answers(Filters::kReads);
    SetStore(v1::Upstream::QUERY_STORE_VICTORIA_METRICS);
  }

  void SetStore(v1::Upstream::QueryStore query_store) {
    tenancy::SnapshotBuilder builder(*snapshot_);
    Put(&builder, v1::KIND_UPSTREAM, "shared", [&](v1::Object* object) {
      v1::Upstream* upstream = object->mutable_upstream();
      upstream->set_isolation(v1::Upstream::ISOLATION_LABEL);
      upstream->set_query_url(store_.url());
      upstream->set_query_store(query_store);
    });
    Put(&builder, v1::KIND_ACCESS, "red/errors", [&](v1::Object* object) {
      object->mutable_access()->set_tenant_id("red");
      object->mutable_access()->add_source_tenant_ids("blue");
      object->mutable_access()->add_selectors("{code=~\"5..\"}");
    });
    snapshot_ = std::move(builder).Build(8, "e");
    pools_.Follow(*snapshot_);
  }

  void Answers(Filters filters, std::string body = kVector) {
    store_.SetAnswer([filters, body = std::move(body)](http::Request request)
                         -> boost::asio::awaitable<http::Response> {
      const Asked asked{request.method, request.target, request.headers,
                        std::string(request.body.view())};
      http::Response response;
      response.headers.Set("Content-Type", "application/json");
      response.body = body;
      if (filters == Filters::kReads &&
          All(asked.Params(), kFilter) == std::vector<std::string>{"{"}) {
        response.status = 422;
        response.body = R"({"status":"error","errorType":"422",)"
                        R"("error":"cannot parse extra_filters={: canary"})";
      }
      co_return response;
    });
  }

  // The last that is no question about filters.
  http::Params LastAsked() {
    http::Params last;
    for (const Asked& asked : store_.asked()) {
      http::Params params = asked.Params();
      const std::vector<std::string> queries = All(params, "query");
      if (queries != std::vector<std::string>{"1"}) last = std::move(params);
    }
    return last;
  }

  bool TakesFilters() {
    return pools_.Of(*snapshot_->FindUpstream("shared"))->takes_filters();
  }
  void WaitForFilters() {
    WaitFor([this] { return TakesFilters(); });
  }
};

TEST_F(VictoriaMetricsTest, AUnionIsSentBesideTheQuery) {
  WaitForFilters();
  EXPECT_EQ(Get("/api/v1/query?query=sum(rate({job=\"x\"}[5m]))").status, 200);
  const http::Params asked = LastAsked();
  EXPECT_THAT(All(asked, "query"),
              ElementsAre("WITH () sum(rate({job=\"x\"}[5m]))"));
  EXPECT_THAT(
      All(asked, kFilter),
      ElementsAre("{namespace=\"red\"}", "{code=~\"5..\",namespace=\"blue\"}"));
  EXPECT_THAT(All(asked, "deny_partial_response"), ElementsAre("1"));
  EXPECT_THAT(All(asked, "nocache"), IsEmpty());
}

TEST_F(VictoriaMetricsTest, WhatIsOneGrantIsInTheTextToo) {
  WaitForFilters();
  EXPECT_EQ(Get("/api/v1/query?query=up{code=\"200\"}").status, 200);
  EXPECT_THAT(All(LastAsked(), "query"),
              ElementsAre("up{code=\"200\",namespace=\"red\"}"));
  EXPECT_THAT(All(LastAsked(), kFilter), ElementsAre("{namespace=\"red\"}"));
  EXPECT_EQ(Get("/api/v1/query?query=up", "token-blue").status, 200);
  EXPECT_THAT(All(LastAsked(), "query"), ElementsAre("up{namespace=\"blue\"}"));
  EXPECT_THAT(All(LastAsked(), kFilter), ElementsAre("{namespace=\"blue\"}"));
}

TEST_F(VictoriaMetricsTest, TimesOfRangesAreThoseOfTheUser) {
  WaitForFilters();
  Answers(Filters::kReads, kMatrix);
  EXPECT_EQ(Get("/api/v1/query_range?query=up&start=7&end=97&step=30").status,
            200);
  EXPECT_THAT(All(LastAsked(), "nocache"), ElementsAre("1"));
  EXPECT_THAT(All(LastAsked(), "start"), ElementsAre("7.000"));
  EXPECT_THAT(All(LastAsked(), kFilter), Not(IsEmpty()));
}

TEST_F(VictoriaMetricsTest, WhoDropsFiltersIsSentTheUnionInTheText) {
  Answers(Filters::kDrops);
  const auto asked_twice = [this] {
    int bad = 0;
    for (const Asked& asked : store_.asked()) {
      bad += All(asked.Params(), kFilter) == std::vector<std::string>{"{"};
    }
    return bad > 0;
  };
  SetStore(v1::Upstream::QUERY_STORE_VICTORIA_METRICS);
  EXPECT_EQ(Get("/api/v1/query?query=up").status, 200);
  WaitFor(asked_twice);
  EXPECT_FALSE(TakesFilters());
  EXPECT_EQ(Get("/api/v1/query?query=up").status, 200);
  EXPECT_THAT(All(LastAsked(), "query"),
              ElementsAre(AllOf(HasSubstr("up{namespace=\"red\"}"),
                                HasSubstr(" or "), Not(HasSubstr("WITH")))));
  EXPECT_THAT(All(LastAsked(), kFilter), IsEmpty());
}

TEST_F(VictoriaMetricsTest, OtherStoresAreNotAskedForFilters) {
  SetStore(v1::Upstream::QUERY_STORE_UNSPECIFIED);
  EXPECT_EQ(Get("/api/v1/query?query=up").status, 200);
  EXPECT_FALSE(TakesFilters());
  EXPECT_THAT(All(LastAsked(), kFilter), IsEmpty());
  EXPECT_THAT(All(LastAsked(), "deny_partial_response"), IsEmpty());
  EXPECT_THAT(All(LastAsked(), "query"), ElementsAre(HasSubstr(" or ")));
}

TEST_F(VictoriaMetricsTest, NothingOfItsOwnLanguagePasses) {
  WaitForFilters();
  const size_t asked = store_.asked().size();
  for (const char* query :
       {"WITH (x = up) x", "up keep_metric_names", "rate(up)",
        "{a=\"1\" or b=\"2\"}", "up if up", "up default 0",
        "label_set(up, \"a\", \"b\")", "up[5i]", "sum(up) limit 5", "(up, up)",
        "median(up)", "1K"}) {
    const http::Response answer =
        Post("/api/v1/query",
             http::EncodeForm({{"query", query}, {kFilter, "{a=\"b\"}"}}));
    EXPECT_EQ(answer.status, 400) << query;
    EXPECT_THAT(answer.body, HasSubstr("parse error")) << query;
  }
  // A pattern, not a matcher, there.
  const char* const graphite = "/api/v1/query?query={__graphite__=\"a.b\"}";
  EXPECT_EQ(Get(graphite).status, 422);
  EXPECT_EQ(Get("/api/v1/series?match[]={__graphite__=\"a.b\"}").status, 422);
  EXPECT_EQ(store_.asked().size(), asked);
  SetStore(v1::Upstream::QUERY_STORE_PROMETHEUS);
  EXPECT_EQ(Get(graphite).status, 200);
}

TEST_F(VictoriaMetricsTest, GrantsOfItsOwnLanguageAreDenied) {
  tenancy::SnapshotBuilder builder(*snapshot_);
  Put(&builder, v1::KIND_ACCESS, "red/errors", [&](v1::Object* object) {
    object->mutable_access()->set_tenant_id("red");
    object->mutable_access()->add_source_tenant_ids("blue");
    object->mutable_access()->add_selectors("{__graphite__=\"a.*\"}");
  });
  snapshot_ = std::move(builder).Build(9, "e");
  const http::Response answer = Get("/api/v1/query?query=up");
  EXPECT_EQ(answer.status, 403);
  EXPECT_THAT(answer.body, HasSubstr("__graphite__"));
}

TEST_F(VictoriaMetricsTest, ItsParametersAreNotTheClients) {
  WaitForFilters();
  EXPECT_EQ(Get("/api/v1/query?query=up&extra_filters[]={pod=\"1\"}"
                "&extra_label=namespace=blue&extra_filters={pod=\"2\"}")
                .status,
            200);
  EXPECT_THAT(All(LastAsked(), kFilter), Not(Contains(HasSubstr("pod"))));
  EXPECT_THAT(All(LastAsked(), "extra_filters"), IsEmpty());
  EXPECT_THAT(All(LastAsked(), "extra_label"), IsEmpty());
}

TEST_F(VictoriaMetricsTest, APartOfTheDataIsNoAnswer) {
  for (const bool partial : {false, true}) {
    Answers(Filters::kReads,
            absl::StrCat(R"({"status":"success","isPartial":)",
                         partial ? "true" : "false",
                         R"(,"data":{"resultType":"vector","result":[]}})"));
    EXPECT_EQ(Get("/api/v1/query?query=up").status, partial ? 502 : 200);
  }
}

TEST_F(VictoriaMetricsTest, ItsErrorsAreThoseOfAPrometheusInOurWords) {
  store_.SetAnswer(422, R"({"status":"error","errorType":"422",)"
                        R"("error":"canary at 10.0.0.1"})");
  store_.SetAnswer(FakeStore::Answer());
  const http::Response answer = Get("/api/v1/query?query=up");
  EXPECT_EQ(answer.status, 422);
  const auto json = nlohmann::json::parse(answer.body);
  EXPECT_EQ(json["errorType"], "execution");
  EXPECT_THAT(json["error"].get<std::string>(), StartsWith("insula: "));
  EXPECT_THAT(answer.body, Not(HasSubstr("canary")));
}

TEST_F(VictoriaMetricsTest, ExplainShowsTheFilters) {
  WaitForFilters();
  query::v1::ExplainRequest request;
  request.set_tenant_id("red");
  request.set_query("up");
  const auto response = ExplainQuery(request, *snapshot_, &pools_);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->query(), "WITH () up");
  EXPECT_THAT(
      response->extra_filters(),
      ElementsAre("{namespace=\"red\"}", "{code=~\"5..\",namespace=\"blue\"}"));
}

TEST_F(VictoriaMetricsTest, RawSeriesAreCheckedAsEverywhere) {
  WaitForFilters();
  Answers(Filters::kReads,
          R"({"status":"success","data":{"resultType":"vector","result":[)"
          R"({"metric":{"__name__":"up","namespace":"green"},)"
          R"("value":[1,"1"]}]}})");
  EXPECT_EQ(Get("/api/v1/query?query=up").status, 500);
}

}  // namespace
}  // namespace insula::query_frontend
