// For whom a request is answered: one tenant of several, and several at once.

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/auth/authenticator.h"
#include "services/query_frontend/api_fixture.h"

namespace insula::query_frontend {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Optional;
using ::testing::Pair;
using ::testing::SizeIs;

class TenantsTest : public ApiTest {
 protected:
  TenantsTest() {
    tenancy::SnapshotBuilder builder(*snapshot_);
    PutTenant(&builder, "apart", "split");
    Put(&builder, v1::KIND_BINDING, "many", [&](v1::Object* object) {
      v1::Binding* binding = object->mutable_binding();
      binding->set_token_sha256(Sha256("token-many"));
      for (const char* id :
           {"red", "blue", "own", "both", "apart", "homeless"}) {
        binding->add_tenant_ids(id);
      }
      binding->add_roles(v1::ROLE_READ);
    });
    snapshot_ = std::move(builder).Build(8, "e");
    store_.SetAnswer(200, kVector);
  }

  http::Response Ask(absl::string_view target, absl::string_view tenants = "",
                     absl::string_view token = "token-many") {
    http::Request request = Request("GET", target, token);
    if (!tenants.empty()) request.headers.Set("X-Scope-OrgID", tenants);
    return Send(std::move(request));
  }

  std::string Query(absl::string_view query, absl::string_view tenants) {
    const size_t before = store_.asked().size();
    const http::Response response = Ask(
        "/api/v1/query?time=1&query=" + http::PercentEncode(query), tenants);
    EXPECT_EQ(response.status, 200) << response.body;
    if (store_.asked().size() != before + 1) return "not asked once";
    return store_.asked().back().Params().back().second;
  }
};

constexpr char kUp[] = "/api/v1/query?query=up";

TEST_F(TenantsTest, ThePathChoosesAmongTenantsOfTheIdentity) {
  for (const char* target :
       {"/t/red/api/v1/query?query=up",
        "/t/red/prometheus/api/v1/query?query=up",
        "/api/v1/query?query=up&namespace=red",
        "/t/red/api/v1/query?query=up&namespace=red&namespace=red"}) {
    const http::Response response = Ask(target);
    EXPECT_EQ(response.status, 200) << target << response.body;
    EXPECT_THAT(response.headers.Get("X-Insula-Tenant"), Optional(Eq("red")));
    EXPECT_EQ(store_.asked().back().Params().back().second,
              R"(up{namespace="red"})");
  }
  EXPECT_EQ(Ask("/t/blue/api/v1/query?query=up", "blue").status, 200);
  EXPECT_EQ(Ask(kUp, "blue").status, 200);
  EXPECT_EQ(store_.asked().back().Params().back().second,
            R"(up{namespace="blue"})");
}

TEST_F(TenantsTest, ANameGrantsNothing) {
  for (const char* target :
       {"/t/blue/api/v1/query?query=up",
        "/api/v1/query?query=up&namespace=blue",
        "/api/v1/query?query=up&namespace=red%7Cblue",
        "/api/v1/query?query=up&namespace=red&namespace=blue",
        "/api/v1/query?query=up&%6eamespace=blue",
        "/t/nobody/api/v1/query?query=up"}) {
    const http::Response response = Ask(target, "", "token-red");
    EXPECT_EQ(response.status, 403) << target;
    EXPECT_EQ(response.headers.Count("X-Insula-Tenant"), 0);
  }
  EXPECT_EQ(Ask("/t/red/api/v1/query?query=up", "", "").status, 401);
  EXPECT_EQ(Ask(kUp, "red|blue", "token-red").status, 403);
  EXPECT_THAT(store_.asked(), IsEmpty());
}

TEST_F(TenantsTest, WhatIsNamedTwiceMustBeTheSame) {
  for (const auto& [target, header] :
       std::vector<std::pair<std::string, std::string>>{
           {"/t/red/api/v1/query?query=up", "blue"},
           {"/t/red/api/v1/query?query=up&namespace=blue", ""},
           {"/api/v1/query?query=up&namespace=blue", "red"},
           {"/api/v1/query?query=up&namespace=blue", "red|blue"},
           {"/api/v1/query?query=up&namespace=", ""},
           {"/api/v1/query?query=up&namespace=red%7C", ""},
           {"/api/v1/query?query=up&namespace=a/b", ""},
           {"/api/v1/query?query=up&namespace=__x", ""},
           {"/t/__x/api/v1/query?query=up", ""},
           {kUp, "red||blue"},
           {kUp, "|"}}) {
    EXPECT_EQ(Ask(target, header).status, 400) << target << " " << header;
  }
  std::string many = "t1";
  for (int i = 2; i < 20; ++i) absl::StrAppend(&many, "|t", i);
  EXPECT_THAT(Ask(kUp, many).body, HasSubstr("more than 16 tenants"));
  // In a body it could not be read before the body is.
  EXPECT_EQ(Post("/api/v1/query", "query=up&namespace=red").status, 400);
  EXPECT_THAT(store_.asked(), IsEmpty());
}

TEST_F(TenantsTest, ANameIsNoProofToAListenerThatTrustsAHeader) {
  auth::ListenerAuth config;
  config.bearer = false;
  config.trusted_header = "X-Scope-OrgID";
  const auth::Authenticator listener(config);
  const auto ask = [&](absl::string_view target, absl::string_view header) {
    http::Request request = Request("GET", target, "");
    if (!header.empty()) request.headers.Set("X-Scope-OrgID", header);
    return boost::asio::co_spawn(boost::asio::make_strand(pool_),
                                 handler_.Handle(std::move(request), &listener),
                                 boost::asio::use_future)
        .get()
        .status;
  };
  EXPECT_EQ(ask("/t/red/api/v1/query?query=up", ""), 401);
  EXPECT_EQ(ask("/api/v1/query?query=up&namespace=red", ""), 401);
  EXPECT_EQ(ask("/t/red/api/v1/query?query=up", "blue"), 400);
  EXPECT_EQ(ask("/t/red/api/v1/query?query=up", "red"), 200);
  // What an authenticating proxy sets may be a name that its user chose.
  EXPECT_EQ(ask(kUp, "red|blue"), 400);
  EXPECT_EQ(ask("/api/v1/query?query=up&namespace=red%7Cblue", "red|blue"),
            400);
}

TEST_F(TenantsTest, SeriesOfSeveralTenantsCarryTheirTenant) {
  EXPECT_EQ(
      Query("up", "red|blue"),
      R"((label_replace(up{namespace="blue"}, "__tenant_id__", "blue", "", "") or )"
      R"(label_replace(up{namespace="red"}, "__tenant_id__", "red", "", "")))");
  EXPECT_THAT(Ask(kUp, "blue|red|red").headers.Get("X-Insula-Tenant"),
              Optional(Eq("blue|red")));
  EXPECT_EQ(
      Query("sum by (__tenant_id__) (rate(x[5m]))", "red|blue"),
      R"(sum by (__tenant_id__) ((label_replace(rate(x{namespace="blue"}[5m]), "__tenant_id__", "blue", "", "") or )"
      R"(label_replace(rate(x{namespace="red"}[5m]), "__tenant_id__", "red", "", ""))))");
  EXPECT_EQ(
      Query(R"(max_over_time(up{__tenant_id__="red",a="b"}[1h:1m]))",
            "red|blue"),
      R"(max_over_time((label_replace(up{a="b",namespace="red"}, "__tenant_id__", "red", "", ""))[1h:1m]))");
  EXPECT_EQ(Query(R"(up{__tenant_id__="green"})", "red|blue"),
            R"({__name__!="__denied__",__name__="__denied__"})");
  EXPECT_EQ(Query("1 + 1", "red|blue"), "1 + 1");
  EXPECT_EQ(
      Query("topk(scalar(a), b)", "red|blue"),
      R"(topk(scalar((label_replace(a{namespace="blue"}, "__tenant_id__", "blue", "", "") or )"
      R"(label_replace(a{namespace="red"}, "__tenant_id__", "red", "", ""))), )"
      R"((label_replace(b{namespace="blue"}, "__tenant_id__", "blue", "", "") or )"
      R"(label_replace(b{namespace="red"}, "__tenant_id__", "red", "", ""))))");
}

TEST_F(TenantsTest, AbsenceOfSeveralIsThatOfAll) {
  EXPECT_EQ(
      Query(R"(absent(up{job="a"}))", "red|blue"),
      R"(label_replace(absent(((label_replace(up{job="a",namespace="blue"}, "__tenant_id__", "blue", "", "") or )"
      R"(label_replace(up{job="a",namespace="red"}, "__tenant_id__", "red", "", "")))), "job", "a", "", ""))");
  EXPECT_THAT(Query(R"(absent_over_time(up{job="a"}[5m]))", "red|blue"),
              HasSubstr(R"(vector(1) unless on () ()"));
}

TEST_F(TenantsTest, WhatCannotBeAskedOfSeveralIsRefusedWithTheCure) {
  for (const auto& [query, why] :
       std::vector<std::pair<std::string, std::string>>{
           {"x[5m]", "a range selector by itself"},
           {"quantile_over_time(scalar(y), x[5m])",
            "no argument of a function"},
       }) {
    const http::Response response =
        Ask("/api/v1/query?query=" + http::PercentEncode(query), "red|blue");
    EXPECT_EQ(response.status, 422) << query;
    EXPECT_THAT(response.body, HasSubstr(why));
  }
  EXPECT_EQ(Ask("/api/v1/query?query=up%7B", "red|blue").status, 400);
  EXPECT_THAT(Ask(kUp, "red|own").body, HasSubstr("of one upstream at once"));
  EXPECT_THAT(Ask(kUp, "own|apart").body, HasSubstr("ask for one at a time"));
  EXPECT_EQ(Ask(kUp, "red|homeless").status, 403);
  for (const char* path :
       {"rules", "alerts", "targets", "metadata", "query_exemplars?query=up",
        "insula/explain?query=up"}) {
    const http::Response response =
        Ask(absl::StrCat("/api/v1/", path), "red|blue");
    EXPECT_EQ(response.status, 400) << path;
    EXPECT_THAT(response.body, HasSubstr("takes one tenant at a time"));
  }
  EXPECT_THAT(store_.asked(), IsEmpty());
}

TEST_F(TenantsTest, AStoreThatKnowsSeveralIsAskedForThem) {
  tenancy::SnapshotBuilder builder(*snapshot_);
  PutTenant(&builder, "next", "split");
  Put(&builder, v1::KIND_BINDING, "pair", [&](v1::Object* object) {
    object->mutable_binding()->set_token_sha256(Sha256("token-pair"));
    object->mutable_binding()->add_tenant_ids("apart");
    object->mutable_binding()->add_tenant_ids("next");
    object->mutable_binding()->add_roles(v1::ROLE_READ);
  });
  snapshot_ = std::move(builder).Build(9, "e");
  EXPECT_EQ(Ask(kUp, "next|apart", "token-pair").status, 200);
  EXPECT_EQ(store_.asked().back().headers.Get("X-Scope-OrgID"), "apart|next");
  EXPECT_THAT(store_.asked().back().Params(), ElementsAre(Pair("query", "up")));
}

// Answers with the series, labels or values of the tenant that is asked for.
void AnswerByTenant(FakeStore* store, std::string red, std::string blue) {
  store->SetAnswer([red, blue](http::Request request) {
    return [](http::Request asked, std::string of_red,
              std::string of_blue) -> boost::asio::awaitable<http::Response> {
      const bool is_red = absl::StrContains(asked.target, "%22red%22") ||
                          absl::StrContains(asked.body.view(), "%22red%22");
      http::Response response;
      response.headers.Set("Content-Type", "application/json");
      response.body = absl::StrCat(R"({"status":"success","data":)",
                                   is_red ? of_red : of_blue, "}");
      co_return response;
    }(std::move(request), red, blue);
  });
}

TEST_F(TenantsTest, SeriesAndLabelsOfSeveralAreUnited) {
  AnswerByTenant(
      &store_, R"([{"__name__":"up","namespace":"red"}])",
      R"([{"__name__":"up","namespace":"blue","__tenant_id__":"x"}])");
  EXPECT_EQ(
      json::parse(Ask("/api/v1/series?match[]=up", "red|blue").body)["data"],
      json::parse(
          R"([{"__name__":"up","__tenant_id__":"blue","namespace":"blue"},
                            {"__name__":"up","__tenant_id__":"red","namespace":"red"}])"));
  EXPECT_THAT(store_.asked(), SizeIs(2));
  EXPECT_EQ(
      Ask("/api/v1/series?match[]=%7B__tenant_id__%3D%22red%22%7D", "red|blue")
          .status,
      200);
  ASSERT_THAT(store_.asked(), SizeIs(3));
  EXPECT_THAT(
      store_.asked()[2].Params(),
      ElementsAre(Pair("match[]", R"({__name__=~".+",namespace="red"})")));
  EXPECT_EQ(
      json::parse(
          Ask("/api/v1/series?match[]=up&limit=1", "red|blue").body)["data"]
          .size(),
      1);
  EXPECT_EQ(Ask("/api/v1/series", "red|blue").status, 400);

  AnswerByTenant(&store_, R"(["a","b"])", R"(["b","c"])");
  EXPECT_EQ(json::parse(Ask("/api/v1/labels", "red|blue").body)["data"],
            json::parse(R"(["__tenant_id__","a","b","c"])"));
  EXPECT_EQ(
      json::parse(Ask("/api/v1/label/job/values", "red|blue").body)["data"],
      json::parse(R"(["a","b","c"])"));
  AnswerByTenant(&store_, R"(["up"])", "[]");
  EXPECT_EQ(
      json::parse(
          Ask("/api/v1/label/__tenant_id__/values", "red|blue").body)["data"],
      json::parse(R"(["red"])"));
}

TEST_F(TenantsTest, TheSecondLockHoldsForEachOfSeveral) {
  // What is red's, said to be blue's.
  AnswerByTenant(&store_, R"([{"__name__":"canary","namespace":"blue"}])",
                 "[]");
  EXPECT_EQ(Ask("/api/v1/series?match[]=up", "red|blue").status, 500);
  const auto vector = [&](absl::string_view labels) {
    store_.SetAnswer(FakeStore::Answer());
    store_.SetAnswer(
        200,
        absl::StrCat(
            R"({"status":"success","data":{"resultType":"vector","result":[{"metric":)",
            labels, R"(,"value":[1,"1"]}]}})"));
    return Ask(kUp, "red|blue").status;
  };
  EXPECT_EQ(vector(R"({"__tenant_id__":"red","namespace":"red"})"), 200);
  EXPECT_EQ(vector(R"({"__tenant_id__":"red","namespace":"blue"})"), 500);
  EXPECT_EQ(vector(R"({"__tenant_id__":"green","namespace":"red"})"), 500);
  EXPECT_EQ(vector(R"({"namespace":"red"})"), 500);
  EXPECT_EQ(metrics_.leaks_prevented.Value(), 4);
}

TEST_F(TenantsTest, APartThatFailsFailsTheWhole) {
  AnswerByTenant(&store_, "[]", R"("canary")");
  EXPECT_EQ(Ask("/api/v1/labels", "red|blue").status, 502);
}

TEST_F(ApiTest, ExplainsToATenantItsOwnQuery) {
  const http::Response response =
      Get("/api/v1/insula/explain?query=sum(rate(up%5B5m%5D))");
  EXPECT_EQ(response.status, 200);
  const json data = json::parse(response.body)["data"];
  EXPECT_EQ(data["query"], R"(sum(rate(up{namespace="red"}[5m])))");
  EXPECT_EQ(data["clauses"], json::parse(R"(["{namespace=\"red\"}"])"));
  EXPECT_EQ(data["upstreamId"], "shared");
  EXPECT_THAT(response.body, Not(HasSubstr("127.0.0.1")));
  EXPECT_THAT(store_.asked(), IsEmpty());
  EXPECT_EQ(Get("/api/v1/insula/explain?query=up%7B").status, 400);
  EXPECT_EQ(Get("/api/v1/insula/explain?query=up", "token-bare").status, 403);
  EXPECT_EQ(Get("/api/v1/insula/explain?query=up", "").status, 401);
}

TEST_F(ApiTest, FormatsAndParsesQueriesItself) {
  EXPECT_EQ(Get("/api/v1/format_query?query=sum(up)by(job)").body,
            R"j({"status":"success","data":"sum by (job) (up)"})j");
  EXPECT_EQ(Post("/api/v1/format_query", "query=foo%2Fbar").body,
            R"({"status":"success","data":"foo / bar"})");
  const json tree =
      json::parse(Get("/api/v1/parse_query?query=rate(up[5m])").body)["data"];
  EXPECT_EQ(tree["type"], "call");
  for (const char* path : {"format_query", "parse_query"}) {
    const http::Response wrong =
        Get(absl::StrCat("/api/v1/", path, "?query=up%7B"));
    EXPECT_EQ(wrong.status, 400);
    EXPECT_THAT(json::parse(wrong.body)["error"].get<std::string>(),
                HasSubstr(R"(invalid parameter "query": 1:4: parse error)"));
  }
  EXPECT_THAT(store_.asked(), IsEmpty());
}

}  // namespace
}  // namespace insula::query_frontend
