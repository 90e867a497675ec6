// What tenants are shown of exemplars, metadata, targets, rules and alerts, by
// a store that has them of all tenants.

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/query_frontend/api_fixture.h"

namespace insula::query_frontend {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr char kRules[] = R"json({"status":"success","data":{"groups":[
{"name":"mixed","file":"/etc/a.yml","interval":60,"limit":0,"secretField":"canary","rules":[
 {"state":"firing","name":"Down","query":"up{namespace=\"red\"} == 0","duration":0,
  "labels":{"namespace":"red","severity":"page"},"annotations":{"a":"b"},"lastError":"at canary",
  "alerts":[{"labels":{"alertname":"Down","namespace":"red","pod":"1"},"annotations":{},"state":"pending","activeAt":"2026-01-01T00:00:00Z","value":"1e+00","canary":"canary"},
            {"labels":{"alertname":"Down","namespace":"blue","pod":"canary"},"annotations":{},"state":"firing","value":"1"}],
  "health":"ok","type":"alerting","canary":"canary"},
 {"name":"canary:sum","query":"sum(canary)",
               "labels" : {"namespace" : "blue"},
               "health" : "ok",
               "type" : "recording"
},
 {"name":"canary:all","query":"sum(canary)","labels":{},"health":"ok","type":"recording"},
 {"name":"red:sum","query":"sum(x)","labels":{"namespace":"red"},"health":"ok","type":"recording"}]
},
{"name":"canary","file":"/etc/canary.yml","interval":60,"rules":[
 {"name":"canary:sum","query":"canary","labels":{"namespace":"blue"},"health":"ok","type":"recording"}]},
{"name":"second","file":"/etc/a.yml","interval":60,"rules":[
 {"name":"red:max","query":"max(x)","labels":{"namespace":"red","team":"t"},"health":"ok","type":"recording"}]},
{"name":"third","file":"/etc/b.yml","interval":60,"rules":[
 {"name":"red:min","query":"min(x)","labels":{"namespace":"red"},"health":"ok","type":"recording"}]}
]
}
})json";

class AnswersTest : public ApiTest {
 protected:
  // The data of an answer, which must be a success.
  json Data(absl::string_view target, absl::string_view token = "token-red") {
    const http::Response response = Get(target, token);
    EXPECT_EQ(response.status, 200) << response.body;
    const json body = json::parse(response.body, nullptr, false);
    EXPECT_EQ(body.value("status", ""), "success") << response.body;
    return body.value("data", json());
  }

  // The names of the rules at `target`, "group/rule".
  std::vector<std::string> Rules(const std::string& target) {
    std::vector<std::string> names;
    const json data = Data(target);
    for (const json& group : data["groups"]) {
      for (const json& rule : group["rules"]) {
        names.push_back(absl::StrCat(group["name"].get<std::string>(), "/",
                                     rule["name"].get<std::string>()));
      }
    }
    return names;
  }

  // A tenant `sre` that reads what `access` grants of blue and nothing else.
  void GrantToSre(const std::string& selector) {
    tenancy::SnapshotBuilder builder(*snapshot_);
    Put(&builder, v1::KIND_TENANT, "sre", [&](v1::Object* object) {
      object->mutable_tenant()->set_upstream_id("shared");
      (*object->mutable_tenant()->mutable_enforced_labels())["namespace"] =
          "sre";
    });
    Put(&builder, v1::KIND_BINDING, "sre", [&](v1::Object* object) {
      object->mutable_binding()->set_token_sha256(Sha256("token-sre"));
      object->mutable_binding()->add_tenant_ids("sre");
      object->mutable_binding()->add_roles(v1::ROLE_READ);
    });
    Put(&builder, v1::KIND_ACCESS, "sre", [&](v1::Object* object) {
      object->mutable_access()->set_tenant_id("sre");
      object->mutable_access()->add_source_tenant_ids("blue");
      object->mutable_access()->add_selectors(selector);
    });
    snapshot_ = std::move(builder).Build(9, "e");
  }
};

TEST_F(AnswersTest, RulesOfOthersAreNotShown) {
  store_.SetAnswer(200, kRules);
  EXPECT_THAT(Rules("/api/v1/rules"),
              ElementsAre("mixed/Down", "mixed/red:sum", "second/red:max",
                          "third/red:min"));
  EXPECT_THAT(Get("/api/v1/rules").body, Not(HasSubstr("canary")));
  ASSERT_FALSE(store_.asked().empty());
  EXPECT_EQ(store_.asked()[0].method, "GET");
  EXPECT_EQ(store_.asked()[0].target, "/store/api/v1/rules");
}

TEST_F(AnswersTest, ARuleHasTheStateOfTheAlertsThatAreShown) {
  store_.SetAnswer(200, kRules);
  const json rule = Data("/api/v1/rules")["groups"][0]["rules"][0];
  EXPECT_EQ(rule["state"], "pending");
  ASSERT_EQ(rule["alerts"].size(), 1);
  EXPECT_EQ(rule["alerts"][0]["labels"]["pod"], "1");
}

TEST_F(AnswersTest, RulesAreFilteredHereAndNotByTheStore) {
  store_.SetAnswer(200, kRules);
  EXPECT_THAT(Rules("/api/v1/rules?type=alert"), ElementsAre("mixed/Down"));
  EXPECT_THAT(Rules("/api/v1/rules?type=Record&rule_group[]=mixed"),
              ElementsAre("mixed/red:sum"));
  EXPECT_THAT(Rules("/api/v1/rules?rule_name[]=red:max&rule_name[]=Down"),
              ElementsAre("mixed/Down", "second/red:max"));
  EXPECT_THAT(Rules("/api/v1/rules?file[]=/etc/b.yml&file[]=/etc/canary.yml"),
              ElementsAre("third/red:min"));
  EXPECT_THAT(Rules("/api/v1/rules?match[]=%7Bteam%3D%22t%22%7D&match[]="
                    "%7Bseverity%3D~%22p.*%22%7D"),
              ElementsAre("mixed/Down", "second/red:max"));
  EXPECT_EQ(Data("/api/v1/rules?exclude_alerts=true")["groups"][0]["rules"][0]
                                                     ["alerts"],
            json::array());
  for (const Asked& asked : store_.asked()) {
    EXPECT_EQ(asked.target, "/store/api/v1/rules");
  }
}

TEST_F(AnswersTest, PagesCountOnlyGroupsThatAreShown) {
  store_.SetAnswer(200, kRules);
  std::vector<std::string> pages;
  std::string token;
  do {
    const json data =
        Data(absl::StrCat("/api/v1/rules?group_limit=1",
                          token.empty() ? "" : "&group_next_token=" + token));
    ASSERT_EQ(data["groups"].size(), 1);
    pages.push_back(data["groups"][0]["name"]);
    token = data.value("groupNextToken", "");
  } while (!token.empty() && pages.size() < 9);
  EXPECT_THAT(pages, ElementsAre("mixed", "second", "third"));
  EXPECT_THAT(Rules("/api/v1/rules?group_limit=3"), SizeIs(4));

  const http::Response unknown =
      Get("/api/v1/rules?group_limit=1&group_next_token=abc");
  EXPECT_EQ(unknown.status, 400);
  EXPECT_THAT(unknown.body, HasSubstr("invalid group_next_token 'abc'"));
  EXPECT_EQ(metrics_.upstream_garbage.Value(), 0);
}

struct BadRequest {
  std::string target;
  std::string error;
};
class BadRulesRequestTest : public AnswersTest,
                            public testing::WithParamInterface<BadRequest> {};

TEST_P(BadRulesRequestTest, IsRefusedInPrometheusWords) {
  const http::Response response = Get(GetParam().target);
  EXPECT_EQ(response.status, 400) << GetParam().target;
  EXPECT_THAT(json::parse(response.body)["error"].get<std::string>(),
              HasSubstr(GetParam().error));
  EXPECT_THAT(store_.asked(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    All, BadRulesRequestTest,
    testing::Values(
        BadRequest{"/api/v1/rules?type=foo",
                   R"(invalid parameter "type": not supported value "foo")"},
        BadRequest{"/api/v1/rules?type=alert&type=record",
                   R"(parameter "type" is given more than once)"},
        BadRequest{"/api/v1/rules?exclude_alerts=perhaps",
                   R"(invalid parameter "exclude_alerts")"},
        BadRequest{"/api/v1/rules?group_limit=0",
                   "group_limit needs to be greater than 0"},
        BadRequest{"/api/v1/rules?group_limit=-1",
                   "group_limit needs to be greater than 0"},
        BadRequest{"/api/v1/rules?group_next_token=x",
                   "group_limit needs to be present"},
        BadRequest{"/api/v1/rules?match[]=up%7B",
                   R"(invalid parameter "match[]")"},
        BadRequest{"/api/v1/metadata?limit=x", "limit must be a number"},
        BadRequest{"/api/v1/metadata?limit_per_metric=x",
                   "limit_per_metric must be a number"},
        BadRequest{"/api/v1/targets/metadata?match_target=%7B",
                   R"(invalid parameter "match_target")"},
        BadRequest{"/api/v1/query_exemplars?query=up%7B",
                   R"(invalid parameter "query")"},
        BadRequest{"/api/v1/query_exemplars", R"(invalid parameter "query")"}));

TEST_F(AnswersTest, AGrantOfOneMetricShowsNoRulesTargetsOrAlerts) {
  GrantToSre("canary:sum");
  store_.SetAnswer(200, kRules);
  EXPECT_THAT(Get("/api/v1/rules", "token-sre").body, Not(HasSubstr("canary")));
  GrantToSre("{namespace=\"blue\"}");
  EXPECT_THAT(Data("/api/v1/rules", "token-sre")["groups"], SizeIs(2));
}

TEST_F(AnswersTest, AlertsAreThoseWhoseSeriesMayBeRead) {
  store_.SetAnswer(
      200,
      R"({"status":"success","data":{"alerts":[)"
      R"({"labels":{"alertname":"A","namespace":"red"},"annotations":{"x":"y"},"state":"firing","activeAt":"2026-01-01T00:00:00Z","value":"1"},)"
      R"({"labels":{"alertname":"canary","namespace":"blue"},"state":"firing"},)"
      R"({"labels":{"alertname":"canary"},"state":"firing"}]}})");
  const json data = Data("/api/v1/alerts");
  ASSERT_EQ(data["alerts"].size(), 1);
  EXPECT_EQ(data["alerts"][0]["annotations"]["x"], "y");
  GrantToSre("ALERTS");
  EXPECT_EQ(Data("/api/v1/alerts", "token-sre")["alerts"].size(), 1);
  GrantToSre("up");
  EXPECT_THAT(Data("/api/v1/alerts", "token-sre")["alerts"], IsEmpty());
}

constexpr char kTargets[] =
    R"({"status":"success","data":{"activeTargets":[)"
    R"({"discoveredLabels":{"__address__":"10.0.0.1:9"},"labels":{"instance":"a","job":"j","namespace":"red"},"scrapePool":"p","scrapeUrl":"http://10.0.0.1:9/metrics","globalUrl":"http://10.0.0.1:9/metrics","lastError":"dial 10.0.0.1:9","lastScrape":"2026-01-01T00:00:00Z","lastScrapeDuration":0.1,"health":"up","scrapeInterval":"15s","scrapeTimeout":"10s"},)"
    R"({"discoveredLabels":{},"labels":{"instance":"canary","namespace":"blue"},"scrapePool":"canary","health":"up"}],)"
    R"("droppedTargets":[{"discoveredLabels":{"a":"canary"}}],"droppedTargetCounts":{"canary":1}}})";

TEST_F(AnswersTest, TargetsAreThoseWhoseSeriesMayBeRead) {
  store_.SetAnswer(200, kTargets);
  const http::Response response = Get("/api/v1/targets?scrapePool=p");
  EXPECT_THAT(response.body, Not(HasSubstr("canary")));
  EXPECT_THAT(response.body, Not(HasSubstr("10.0.0.1")));
  const json data = json::parse(response.body)["data"];
  ASSERT_EQ(data["activeTargets"].size(), 1);
  EXPECT_EQ(data["activeTargets"][0]["health"], "up");
  EXPECT_EQ(data["activeTargets"][0]["scrapeUrl"], "");
  EXPECT_EQ(data["droppedTargets"], json::array());
  EXPECT_EQ(store_.asked()[0].target,
            "/store/api/v1/targets?state=active&scrapePool=p");
  EXPECT_THAT(Data("/api/v1/targets?state=dropped")["activeTargets"],
              IsEmpty());
  GrantToSre("up");
  EXPECT_EQ(Data("/api/v1/targets", "token-sre")["activeTargets"].size(), 1);
  GrantToSre("canary");
  EXPECT_THAT(Data("/api/v1/targets", "token-sre")["activeTargets"], IsEmpty());
}

TEST_F(AnswersTest, MetadataOfTargetsIsThatOfSeriesThatMayBeRead) {
  store_.SetAnswer(
      200,
      R"({"status":"success","data":[)"
      R"({"target":{"namespace":"red","job":"a"},"metric":"x","type":"gauge","help":"h","unit":""},)"
      R"({"target":{"namespace":"red","job":"b"},"metric":"x","type":"gauge","help":"h","unit":""},)"
      R"({"target":{"namespace":"blue"},"metric":"canary","type":"histogram","help":"canary","unit":""}]})");
  EXPECT_EQ(Data("/api/v1/targets/metadata").size(), 2);
  EXPECT_EQ(Data("/api/v1/targets/metadata?limit=1").size(), 1);
  const json data = Data(
      "/api/v1/targets/metadata?match_target=%7Bjob%3D%22b%22%7D&metric=x");
  ASSERT_EQ(data.size(), 1);
  EXPECT_EQ(data[0]["target"]["job"], "b");
  EXPECT_EQ(store_.asked()[2].target,
            "/store/api/v1/targets/metadata?metric=x");
  GrantToSre("canary_bucket");
  EXPECT_EQ(Data("/api/v1/targets/metadata", "token-sre").size(), 1);
  GrantToSre("other");
  EXPECT_THAT(Data("/api/v1/targets/metadata", "token-sre"), IsEmpty());
}

TEST_F(AnswersTest, MetadataIsThatOfVisibleNames) {
  store_.SetAnswer([](http::Request request) {
    return [](http::Request asked) -> boost::asio::awaitable<http::Response> {
      http::Response response;
      response.headers.Set("Content-Type", "application/json");
      response.body =
          absl::StrContains(asked.target, "/label/__name__/values")
              ? R"({"status":"success","data":["up","h_bucket","h_sum"]})"
              : R"({"status":"success","data":{)"
                R"("up":[{"type":"gauge","help":"canary","unit":""},{"type":"gauge","help":"other","unit":""}],)"
                R"("canary":[{"type":"gauge","help":"canary","unit":""}],)"
                R"("h":[{"type":"histogram","help":"canary","unit":"s"}]}})";
      co_return response;
    }(std::move(request));
  });
  const http::Response response = Get("/api/v1/metadata");
  EXPECT_THAT(response.body, Not(HasSubstr("canary")));
  const json data = json::parse(response.body)["data"];
  EXPECT_EQ(data["up"],
            json::parse(R"([{"type":"gauge","help":"","unit":""}])"));
  EXPECT_EQ(data["h"],
            json::parse(R"([{"type":"histogram","help":"","unit":"s"}])"));
  EXPECT_EQ(data.size(), 2);
  ASSERT_THAT(store_.asked(), SizeIs(2));
  EXPECT_THAT(store_.asked()[0].Params(),
              ElementsAre(Pair("match[]", R"({namespace="red"})")));
  EXPECT_EQ(store_.asked()[1].target, "/store/api/v1/metadata");
  EXPECT_EQ(Data("/api/v1/metadata?limit=1").size(), 1);

  // A store that keeps tenants apart says nothing of others.
  const json own = Data("/api/v1/metadata", "token-own");
  EXPECT_EQ(own["canary"][0]["help"], "canary");
}

TEST_F(AnswersTest, ExemplarsAreAskedForBySelectorsAlone) {
  store_.SetAnswer(
      200,
      R"({"status":"success","data":[{"seriesLabels":{"__name__":"x","namespace":"red"},"exemplars":[{"labels":{"trace_id":"t"},"value":"1","timestamp":1.5}]}]})");
  EXPECT_EQ(Data("/api/v1/query_exemplars?query=rate(x[5m])+%2B+on()+"
                 "topk(scalar(y),x)&start=1&end=2&step=3")
                .size(),
            1);
  ASSERT_THAT(store_.asked(), SizeIs(1));
  EXPECT_EQ(store_.asked()[0].method, "POST");
  EXPECT_EQ(store_.asked()[0].target, "/store/api/v1/query_exemplars");
  EXPECT_THAT(store_.asked()[0].Params(),
              ElementsAre(Pair("end", "2"), Pair("start", "1"),
                          Pair("query", R"({__name__="x",namespace="red"} or )"
                                        R"({__name__="y",namespace="red"})")));
  Data("/api/v1/query_exemplars?query=1%2B1");
  EXPECT_THAT(store_.asked()[1].Params(),
              ElementsAre(Pair("query", R"({__name__="__denied__",)"
                                        R"(__name__!="__denied__"})")));
}

struct Leak {
  std::string target;
  std::string data;
};
class RawLeakTest : public AnswersTest,
                    public testing::WithParamInterface<Leak> {};

TEST_P(RawLeakTest, IsWithheldAndCounted) {
  store_.SetAnswer(200, absl::StrCat(R"({"status":"success","data":)",
                                     GetParam().data, "}"));
  const http::Response response = Get(GetParam().target);
  EXPECT_EQ(response.status, 500) << response.body;
  EXPECT_THAT(response.body, Not(HasSubstr("canary")));
  EXPECT_EQ(metrics_.leaks_prevented.Value(), 1);
}

INSTANTIATE_TEST_SUITE_P(
    All, RawLeakTest,
    testing::Values(
        Leak{
            "/api/v1/query?query=up",
            R"({"resultType":"vector","result":[{"metric":{"__name__":"up","namespace":"canary"},"value":[1,"1"]}]})"},
        Leak{
            "/api/v1/query?query=((up))",
            R"({"resultType":"vector","result":[{"metric":{"__name__":"canary"},"value":[1,"1"]}]})"},
        Leak{
            "/api/v1/query?query=up[5m]",
            R"({"resultType":"matrix","result":[{"metric":{"__name__":"up","namespace":"red"},"values":[]},{"metric":{"__name__":"up","namespace":"canary"},"values":[]}]})"},
        Leak{
            "/api/v1/query_range?query=up&start=0&end=1&step=1",
            R"({"resultType":"matrix","result":[{"metric":{"__name__":"canary"},"values":[]}]})"},
        Leak{"/api/v1/query_exemplars?query=up",
             R"([{"seriesLabels":{"__name__":"canary"},"exemplars":[]}])"}));

TEST_F(AnswersTest, WhatComesTwiceHidesNothing) {
  const std::pair<std::string, std::string> cases[] = {
      {"/api/v1/query?query=up",
       R"({"resultType":"vector","result":[],"result":[{"metric":{"__name__":"canary"},"value":[1,"1"]}]})"},
      {"/api/v1/query?query=up",
       R"({"resultType":"vector","result":[{"metric":{"__name__":"up","namespace":"red"},"metric":{"__name__":"canary"},"value":[1,"1"]}]})"},
      {"/api/v1/query_exemplars?query=up",
       R"([{"seriesLabels":{"__name__":"up","namespace":"red"},"seriesLabels":{"__name__":"canary"},"exemplars":[]}])"},
      {"/api/v1/series?match[]=up",
       R"([{"__name__":"up","namespace":"red","namespace":"canary"}])"},
  };
  for (const auto& [target, data] : cases) {
    store_.SetAnswer(200,
                     absl::StrCat(R"({"status":"success","data":)", data, "}"));
    const http::Response response = Get(target);
    EXPECT_GE(response.status, 500) << data;
    EXPECT_THAT(response.body, Not(HasSubstr("canary"))) << data;
  }
}

TEST_F(AnswersTest, AnEvaluatedAnswerIsNotTakenForSeries) {
  store_.SetAnswer(
      200,
      R"({"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}})");
  EXPECT_EQ(Get("/api/v1/query?query=sum(up)").status, 200);
  EXPECT_EQ(Get("/api/v1/query?query=-up").status, 200);
}

struct Odd {
  std::string target;
  std::string data;
};
class OddDataTest : public AnswersTest,
                    public testing::WithParamInterface<Odd> {};

TEST_P(OddDataTest, IsABadGateway) {
  store_.SetAnswer(200, absl::StrCat(R"({"status":"success","data":)",
                                     GetParam().data, "}"));
  const http::Response response = Get(GetParam().target);
  EXPECT_EQ(response.status, 502) << response.body;
  EXPECT_THAT(response.body, Not(HasSubstr("canary")));
}

INSTANTIATE_TEST_SUITE_P(
    All, OddDataTest,
    testing::Values(
        Odd{"/api/v1/rules", R"({"groups":{}})"}, Odd{"/api/v1/rules", "[]"},
        Odd{"/api/v1/rules", R"({"groups":["canary"]})"},
        Odd{"/api/v1/rules", R"({"groups":[{"rules":["canary"]}]})"},
        Odd{"/api/v1/rules",
            R"({"groups":[{"rules":[{"name":"canary","type":"recording"}]}]})"},
        Odd{"/api/v1/rules",
            R"({"groups":[{"rules":[{"labels":{"namespace":"red"},"type":"canary"}]}]})"},
        Odd{"/api/v1/rules",
            R"({"groups":[{"rules":[{"labels":{"namespace":"red","namespace":"canary"},"type":"recording"}]}]})"},
        Odd{"/api/v1/rules",
            R"({"groups":[{"rules":[{"labels":{"namespace":"red","a":{"b":"canary"}},"type":"recording"}]}]})"},
        Odd{"/api/v1/alerts", R"({"alerts":"canary"})"},
        Odd{"/api/v1/alerts", R"({"alerts":[{"labels":"canary"}]})"},
        Odd{"/api/v1/targets", R"({"activeTargets":[{"labels":["canary"]}]})"},
        Odd{"/api/v1/targets", R"("canary")"},
        Odd{"/api/v1/targets/metadata", R"([{"target":1,"metric":"canary"}])"},
        Odd{"/api/v1/metadata", R"({"canary":1})"},
        Odd{"/api/v1/query_exemplars?query=up", R"([{"canary":1}])"},
        Odd{"/api/v1/query_exemplars?query=up", R"({"canary":1})"},
        Odd{"/api/v1/query?query=up",
            R"({"resultType":"vector","result":["canary"]})"}));

}  // namespace
}  // namespace insula::query_frontend
