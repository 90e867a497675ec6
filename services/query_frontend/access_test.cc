// Tenants that read what their Access objects select.

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/http/url.h"
#include "libs/promql/parser.h"
#include "services/query_frontend/api_fixture.h"
#include "services/query_frontend/explain.h"

namespace insula::query_frontend {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using Series = std::map<std::string, std::string>;
using Json = nlohmann::json;

// What the store holds. `n` tells them apart in the tests.
const std::vector<Series>& Stored() {
  static const std::vector<Series> stored = {
      {{"__name__", "up"}, {"namespace", "red"}, {"n", "red-up"}},
      {{"__name__", "secret"}, {"namespace", "red"}, {"n", "red-secret"}},
      {{"__name__", "up"}, {"namespace", "blue"}, {"n", "blue-up"}},
      {{"__name__", "up"},
       {"namespace", "blue"},
       {"job", "a,b"},
       {"n", "blue-up-a,b"}},
      {{"__name__", "up_x"}, {"namespace", "blue"}, {"n", "blue-up_x"}},
      {{"__name__", "node_load1"}, {"namespace", "blue"}, {"n", "blue-node"}},
      {{"__name__", "my_node_load1"},
       {"namespace", "blue"},
       {"n", "blue-my_node"}},
      {{"__name__", "http_requests_total"},
       {"namespace", "blue"},
       {"code", "500"},
       {"pod", "p"},
       {"n", "blue-500"}},
      {{"__name__", "http_requests_total"},
       {"namespace", "blue"},
       {"code", "200"},
       {"pod", "q"},
       {"n", "blue-200"}},
      {{"__name__", "up"}, {"namespace", "green"}, {"n", "green-up"}},
      {{"__name__", "node_load1"}, {"namespace", "green"}, {"n", "green-node"}},
      {{"__name__", "up"}, {"n", "nobody-up"}},
  };
  return stored;
}

bool Selects(const tenancy::Clause& selector, const Series& series) {
  return std::all_of(selector.begin(), selector.end(), [&](const auto& m) {
    const auto at = series.find(m.name());
    return m.Matches(at == series.end() ? "" : at->second);
  });
}

// A store that answers /series, /labels and /label/NAME/values as a Prometheus
// would, and the others with nothing.
boost::asio::awaitable<http::Response> AnswerOf(http::Request request) {
  const std::string target = request.target;
  const Asked asked{request.method, target, request.headers,
                    std::string(request.body.view())};
  std::vector<tenancy::Clause> selectors;
  for (const auto& [name, value] : asked.Params()) {
    if (name == "match[]") {
      selectors.push_back(*promql::ParseMetricSelector(value, {}));
    }
  }
  std::set<Series> found;
  for (const Series& series : Stored()) {
    if (selectors.empty() ||
        std::any_of(selectors.begin(), selectors.end(),
                    [&](const auto& s) { return Selects(s, series); })) {
      found.insert(series);
    }
  }
  Json data = Json::array();
  std::set<std::string> texts;
  const std::string values = "/label/";
  if (absl::StrContains(target, "/series")) {
    for (const Series& series : found) data.push_back(series);
  } else if (const size_t at = target.find(values); at != std::string::npos) {
    const size_t begin = at + values.size();
    const std::string name =
        target.substr(begin, target.find("/values") - begin);
    for (const Series& series : found) {
      if (series.contains(name)) texts.insert(series.at(name));
    }
    data = texts;
  } else if (absl::StrContains(target, "/labels")) {
    for (const Series& series : found) {
      for (const auto& [name, _] : series) texts.insert(name);
    }
    data = texts;
  } else {
    data = {{"resultType", "vector"}, {"result", Json::array()}};
  }
  http::Response response;
  response.headers.Set("Content-Type", "application/json");
  response.body = Json{{"status", "success"}, {"data", data}}.dump();
  co_return response;
}

class AccessTest : public ApiTest {
 protected:
  AccessTest() {
    store_.SetAnswer(AnswerOf);
    Tenant("green", "");
    Tenant("viewer", "read_scope: READ_SCOPE_ACCESS");
    Token("viewer");
  }

  void Put(absl::string_view kind, absl::string_view id,
           absl::string_view spec) {
    v1::Object object;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
        absl::StrCat("meta { kind: ", kind, " id: '", id,
                     "' uid: 'uuuuuuuuuuuuuuuu' } ", spec),
        &object));
    tenancy::SnapshotBuilder builder(*snapshot_);
    const absl::Status put = builder.Put(object);
    ASSERT_TRUE(put.ok()) << put;
    snapshot_ =
        std::move(builder).Build(snapshot_->revision() + 1, snapshot_->epoch());
  }

  void Tenant(const std::string& id, const std::string& more) {
    Put("KIND_TENANT", id,
        absl::StrCat("tenant { upstream_id: 'shared' enforced_labels { key: "
                     "'namespace' value: '",
                     id, "' } ", more, " }"));
  }

  void Token(const std::string& tenant) {
    tenancy::SnapshotBuilder builder(*snapshot_);
    ApiTest::Put(&builder, v1::KIND_BINDING, tenant, [&](v1::Object* object) {
      object->mutable_binding()->set_token_sha256(Sha256("token-" + tenant));
      object->mutable_binding()->add_tenant_ids(tenant);
      object->mutable_binding()->add_roles(v1::ROLE_READ);
    });
    snapshot_ =
        std::move(builder).Build(snapshot_->revision() + 1, snapshot_->epoch());
  }

  void Access(const std::string& id, const std::string& spec,
              const std::string& tenant = "viewer") {
    Put("KIND_ACCESS", id,
        absl::StrCat("access { tenant_id: '", tenant, "' ", spec, " }"));
  }

  void DeleteAccess(const std::string& id) {
    v1::ObjectRef ref;
    ref.set_kind(v1::KIND_ACCESS);
    ref.set_id(id);
    tenancy::SnapshotBuilder builder(*snapshot_);
    builder.Delete(ref);
    snapshot_ =
        std::move(builder).Build(snapshot_->revision() + 1, snapshot_->epoch());
  }

  // `n` of the series that /series shows for these match[].
  std::vector<std::string> Sees(const std::vector<std::string>& matches,
                                const std::string& tenant = "viewer") {
    http::Params params;
    for (const std::string& match : matches) {
      params.emplace_back("match[]", match);
    }
    const http::Response response =
        Post("/api/v1/series", http::EncodeForm(params), "token-" + tenant);
    EXPECT_EQ(response.status, 200) << response.body;
    std::vector<std::string> names;
    const Json body = Json::parse(response.body);
    for (const Json& series : body["data"]) {
      names.push_back(series["n"]);
    }
    return names;
  }

  std::vector<std::string> Data(const std::string& target,
                                const std::string& tenant = "viewer") {
    const http::Response response = Get(target, "token-" + tenant);
    EXPECT_EQ(response.status, 200) << response.body;
    return Json::parse(response.body)["data"];
  }

  http::Response Query(const std::string& query,
                       const std::string& tenant = "viewer") {
    return Post("/api/v1/query",
                http::EncodeForm({{"query", query}, {"time", "7"}}),
                "token-" + tenant);
  }

  // What the store was asked for a query.
  std::vector<std::string> Texts(const std::string& query,
                                 const std::string& tenant = "viewer") {
    const size_t before = store_.asked().size();
    const http::Response response = Query(query, tenant);
    EXPECT_EQ(response.status, 200) << response.body;
    std::vector<std::string> texts;
    for (size_t i = before; i < store_.asked().size(); ++i) {
      for (const auto& [name, value] : store_.asked()[i].Params()) {
        if (name == "query") texts.push_back(value);
      }
    }
    return texts;
  }
};

constexpr char kAll[] = R"({n!=""})";

TEST_F(AccessTest, AnAccessAddsToWhatATenantReads) {
  EXPECT_THAT(Sees({kAll}, "red"),
              UnorderedElementsAre("red-up", "red-secret"));
  Access("x", "selectors: 'up' source_tenant_ids: 'blue'", "red");
  EXPECT_THAT(
      Sees({kAll}, "red"),
      UnorderedElementsAre("red-up", "red-secret", "blue-up", "blue-up-a,b"));
  EXPECT_THAT(Sees({kAll}, "blue"), Not(testing::Contains("red-up")));
}

TEST_F(AccessTest, ByScopeATenantReadsNothingElse) {
  Tenant("red", "read_scope: READ_SCOPE_ACCESS");
  Access("x", "selectors: 'up' source_tenant_ids: 'blue'", "red");
  EXPECT_THAT(Sees({kAll}, "red"),
              UnorderedElementsAre("blue-up", "blue-up-a,b"));
  EXPECT_THAT(
      Texts("secret", "red"),
      ElementsAre(R"({__name__="secret",__name__="up",namespace="blue"})"));
}

TEST_F(AccessTest, ATenantWithoutAGrantIsRefusedWithTheReason) {
  for (const char* target :
       {"/api/v1/query?query=up", "/api/v1/query?query=1",
        "/api/v1/query_range?query=up&start=1&end=2&step=1",
        "/api/v1/series?match[]=up", "/api/v1/labels",
        "/api/v1/label/namespace/values"}) {
    const http::Response response = Get(target, "token-viewer");
    EXPECT_EQ(response.status, 403) << target;
    EXPECT_THAT(response.body,
                HasSubstr("insula: tenant viewer can't read anything: reads by "
                          "READ_SCOPE_ACCESS, and no Access grants it "));
  }
  EXPECT_THAT(store_.asked(), IsEmpty());
  EXPECT_EQ(metrics_.refused_policy.Value(), 6);
}

TEST_F(AccessTest, NamesExpressionsAndSelectorsAreAnchoredAndUnited) {
  Access("names",
         "selectors: 'up' selectors: 'node_.*' source_tenant_ids: 'blue'");
  EXPECT_THAT(Sees({kAll}),
              UnorderedElementsAre("blue-up", "blue-up-a,b", "blue-node"));
  Access("errors",
         R"(selectors: '{code=~"5..",pod!=""}' source_tenant_ids: 'blue')");
  EXPECT_THAT(Sees({kAll}), UnorderedElementsAre("blue-up", "blue-up-a,b",
                                                 "blue-node", "blue-500"));
  Access("names", R"(selectors: 'up{job="a,b"}' source_tenant_ids: 'blue')");
  EXPECT_THAT(Sees({kAll}), UnorderedElementsAre("blue-up-a,b", "blue-500"));
  EXPECT_THAT(Sees({"up", "secret"}), UnorderedElementsAre("blue-up-a,b"));
  EXPECT_THAT(Sees({"secret"}), IsEmpty());
}

TEST_F(AccessTest, SeveralSourcesAreRead) {
  Access("x",
         "selectors: 'up' source_tenant_ids: 'blue' source_tenant_ids: 'red'");
  EXPECT_THAT(Sees({kAll}),
              UnorderedElementsAre("red-up", "blue-up", "blue-up-a,b"));
  EXPECT_THAT(Data("/api/v1/label/namespace/values"),
              UnorderedElementsAre("red", "blue"));
  EXPECT_THAT(Data("/api/v1/label/__name__/values"),
              UnorderedElementsAre("up"));
  EXPECT_THAT(Data("/api/v1/labels"),
              UnorderedElementsAre("__name__", "job", "n", "namespace"));
  EXPECT_THAT(Data("/api/v1/label/n/values?match[]=up%7Bnamespace%3D%22green%22"
                   "%7D"),
              IsEmpty());
  EXPECT_THAT(
      Data("/api/v1/label/n/values?match[]=%7Bnamespace%3D%22red%22%7D"),
      ElementsAre("red-up"));
}

TEST_F(AccessTest, EverySourceIsTheStore) {
  Access("x", "selectors: 'node_load1' every_source: true");
  EXPECT_THAT(Sees({kAll}), UnorderedElementsAre("blue-node", "green-node"));
  EXPECT_THAT(
      Texts("up or node_load1"),
      ElementsAre(R"({__name__="node_load1",__name__="up"} or node_load1)"));
}

TEST_F(AccessTest, AnAccessReachesOnlyTheSourcesThatItNames) {
  Access("x",
         R"(selectors: '{namespace="green"}' selectors: 'up{namespace!="x"}'
                 selectors: '{n=~".*"  ,namespace=~"green|red|"  ,code!=""}'
                 source_tenant_ids: 'blue')");
  EXPECT_THAT(Sees({kAll, R"({namespace="green"})", R"({namespace="red"})"}),
              UnorderedElementsAre("blue-up", "blue-up-a,b"));
  EXPECT_THAT(
      Texts(R"(up{namespace="green"})"),
      ElementsAre(R"(up{namespace!="x",namespace="blue",namespace="green"})"));
  EXPECT_THAT(Data("/api/v1/label/namespace/values"), ElementsAre("blue"));
}

TEST_F(AccessTest, LabelSelectorsHoldForEachOfTheSelectors) {
  Access("x",
         "selectors: 'up' selectors: 'http_.*' source_tenant_ids: 'blue' "
         "label_selectors { key: 'code' value: '200' }");
  EXPECT_THAT(Sees({kAll}), ElementsAre("blue-200"));
}

TEST_F(AccessTest, EachSelectorOfAQueryIsConfined) {
  Access("pods", R"(selectors: '{pod="p"}' source_tenant_ids: 'blue')");
  Access("codes", R"(selectors: '{code="200"}' source_tenant_ids: 'green')");
  EXPECT_THAT(
      Texts("sum(a) / sum(rate(b[5m]))"),
      ElementsAre(
          R"(sum((a{code="200",namespace="green"} or a{namespace="blue",pod="p"})))"
          R"( / sum((rate(b{code="200",namespace="green"}[5m]) or )"
          R"(rate(b{namespace="blue",pod="p"}[5m]))))"));
  EXPECT_THAT(Texts(R"(a{namespace="blue"})"),
              ElementsAre(R"(a{namespace="blue",pod="p"})"));
  EXPECT_THAT(Texts("1 + 1"), ElementsAre("1 + 1"));
}

TEST_F(AccessTest, WhatTheStoreShowsBeyondTheGrantIsWithheld) {
  Access("x", "selectors: 'up' source_tenant_ids: 'blue'");
  store_.SetAnswer(FakeStore::Answer());
  const auto answer = [this](const std::string& data) {
    store_.SetAnswer(200, R"({"status":"success","data":[)" + data + "]}");
  };
  const std::string target = "/api/v1/series?match[]=up";
  answer(R"({"__name__":"up","namespace":"blue"})");
  EXPECT_EQ(Get(target, "token-viewer").status, 200);
  for (const char* leak :
       {R"({"__name__":"canary","namespace":"blue"})",
        R"({"__name__":"up","namespace":"canary"})", R"({"__name__":"up"})",
        R"({"__name__":"up","namespace":"blue","namespace":"canary"})",
        R"({"__name__":"up","__name__":"canary","namespace":"blue"})"}) {
    answer(leak);
    const http::Response response = Get(target, "token-viewer");
    EXPECT_EQ(response.status, 500) << leak;
    EXPECT_THAT(response.body, Not(HasSubstr("canary")));
  }
  answer(R"("up","canary")");
  EXPECT_EQ(Get("/api/v1/label/__name__/values", "token-viewer").status, 500);
  EXPECT_EQ(Get("/api/v1/label/namespace/values", "token-viewer").status, 500);
  EXPECT_EQ(Get("/api/v1/label/job/values", "token-viewer").status, 200);
  EXPECT_EQ(metrics_.leaks_prevented.Value(), 7);
}

TEST_F(AccessTest, NarrowingAndDeletingRevokes) {
  Access("x", "selectors: 'up' selectors: 'up_x' source_tenant_ids: 'blue'");
  EXPECT_THAT(Sees({"up_x"}), ElementsAre("blue-up_x"));
  Access("x", "selectors: 'up' source_tenant_ids: 'blue'");
  EXPECT_THAT(Sees({"up_x"}), IsEmpty());
  EXPECT_THAT(Sees({"up"}), SizeIs(2));
  DeleteAccess("x");
  EXPECT_EQ(Get("/api/v1/series?match[]=up", "token-viewer").status, 403);
}

// By pod and by name: for a function that drops the name, a selector that gives
// none would select two series where one is left.
constexpr char kOverlapping[] = R"(
    selectors: 'queue_depth' selectors: '{__name__=~"a.*",pod="p"}'
    source_tenant_ids: 'blue')";

TEST_F(AccessTest, WhatCanNotBeConfinedIsAnExecutionError) {
  Access("x", kOverlapping);
  const http::Response refused = Query(R"(abs({job="a",__insula_name__=""}))");
  EXPECT_EQ(refused.status, 422);
  EXPECT_THAT(refused.body, HasSubstr(R"("errorType":"execution")"));
  EXPECT_THAT(
      refused.body,
      HasSubstr("insula: tenant viewer: the query can't be confined to what "
                "the tenant reads: 1:5: the selector"));
  EXPECT_THAT(store_.asked(), IsEmpty());
  EXPECT_EQ(metrics_.refused_query.Value(), 1);
  EXPECT_THAT(Texts(R"(rate(a{job="a"}[5m]))"), SizeIs(1));

  for (const char* wrong : {"rate({job=\"a\"}[5m]", "rate(up)", "{job=\"\"}"}) {
    const http::Response response = Query(wrong);
    EXPECT_EQ(response.status, 400) << wrong;
    EXPECT_THAT(response.body, HasSubstr(R"("errorType":"bad_data")"));
    EXPECT_THAT(response.body, HasSubstr(R"(invalid parameter \"query\": 1:)"));
  }
}

TEST_F(AccessTest, TooManyMatchesForTheStoreAreAnExecutionError) {
  std::string selectors;
  for (int i = 0; i < 40; ++i) {
    absl::StrAppend(&selectors, "selectors: '{pod", i, "=\"x\"}' ");
  }
  Access("x", selectors + "source_tenant_ids: 'blue'");
  http::Params params;
  for (int i = 0; i < 30; ++i) {
    params.emplace_back("match[]", absl::StrCat("m", i));
  }
  const http::Response response =
      Post("/api/v1/series", http::EncodeForm(params), "token-viewer");
  EXPECT_EQ(response.status, 422);
  EXPECT_THAT(response.body,
              HasSubstr("insula: tenant viewer: match[], confined"));
  EXPECT_THAT(store_.asked(), IsEmpty());
}

// One answer for each request, whatever is asked.
class RangeTest : public AccessTest {
 protected:
  RangeTest() {
    Access("pods", R"(selectors: '{pod="p"}' source_tenant_ids: 'blue')");
    Access("codes", R"(selectors: '{code="500"}' source_tenant_ids: 'blue')");
  }

  void Answers(std::vector<std::pair<int, std::string>> answers) {
    store_.SetAnswer(
        [answers, next = std::make_shared<size_t>(0)](http::Request) {
          return Canned(answers.at((*next)++));
        });
  }

  static boost::asio::awaitable<http::Response> Canned(
      std::pair<int, std::string> answer) {
    http::Response response;
    response.status = answer.first;
    response.headers.Set("Content-Type", "application/json");
    response.body = std::move(answer.second);
    co_return response;
  }

  static std::string Matrix(const std::string& result,
                            const std::string& more = "") {
    return R"({"status":"success","data":{"resultType":"matrix","result":[)" +
           result + "]}" + more + "}";
  }

  static constexpr char kP[] =
      R"({"metric":{"__name__":"x","namespace":"blue","pod":"p"},)"
      R"("values":[[1,"1"],[2,"NaN"]]})";
  static constexpr char kBoth[] =
      R"({"metric":{"code":"500","namespace":"blue","pod":"p"},)"
      R"("values":[[1,"1"]]})";
  static constexpr char kBothTurned[] =
      R"({"metric":{"pod":"p","code":"500","namespace":"blue"},)"
      R"("values":[[1,"1"]]})";
  static constexpr char k500[] =
      R"({"metric":{"__name__":"x","code":"500","namespace":"blue"},)"
      R"("values":[[1,"3"]]})";
};

TEST_F(RangeTest, ARangeByItselfIsAskedForAClauseAtATime) {
  Answers(
      {{200, Matrix(std::string(kP) + "," + kBoth,
                    R"(,"warnings":["PromQL info: a"])")},
       {200, Matrix(std::string(kBothTurned) + "," + k500,
                    R"(,"warnings":["PromQL info: a","PromQL info: b"])")}});
  const http::Response response = Query("x[5m] offset 1m");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body,
            Matrix(absl::StrCat(kP, ",", kBoth, ",", k500),
                   R"(,"warnings":["PromQL info: a","PromQL info: b"])"));
  ASSERT_THAT(store_.asked(), SizeIs(2));
  EXPECT_THAT(
      store_.asked()[0].Params(),
      ElementsAre(testing::Pair("time", "7"),
                  testing::Pair("query", R"(x{code="500",namespace="blue"}[5m])"
                                         " offset 1m")));
  EXPECT_THAT(
      store_.asked()[1].Params(),
      ElementsAre(testing::Pair("time", "7"),
                  testing::Pair("query", R"(x{namespace="blue",pod="p"}[5m])"
                                         " offset 1m")));
}

TEST_F(RangeTest, AllPartsAreForOneTime) {
  Answers({{200, Matrix("")}, {200, Matrix("")}});
  EXPECT_EQ(Get("/api/v1/query?query=x%5B5m%5D", "token-viewer").status, 200);
  ASSERT_THAT(store_.asked(), SizeIs(2));
  const http::Params first = store_.asked()[0].Params();
  const http::Params second = store_.asked()[1].Params();
  ASSERT_EQ(first.at(0).first, "time");
  EXPECT_EQ(first.at(0), second.at(0));
  EXPECT_NEAR(std::stod(first.at(0).second),
              absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()), 60);
}

TEST_F(RangeTest, APartThatFailsFailsTheWhole) {
  const std::string error =
      R"({"status":"error","errorType":"execution","error":"too much"})";
  Answers({{200, Matrix(kP)}, {422, error}});
  http::Response response = Query("x[5m]");
  EXPECT_EQ(response.status, 422);
  EXPECT_EQ(response.body, error);

  Answers({{200, kVector}});
  response = Query("x[5m]");
  EXPECT_EQ(response.status, 502);
  EXPECT_THAT(response.body, HasSubstr("it is no matrix"));

  Answers({{200, Matrix(R"({"metric":{"a":"1","a":"2","pod":"p",)"
                        R"("namespace":"blue"},"values":[]})")}});
  EXPECT_EQ(Query("x[5m]").status, 502);
  Answers({{200, Matrix("7")}});
  EXPECT_EQ(Query("x[5m]").status, 502);

  // Each of them within the limit, both together above it.
  const std::string values(kMaxResponse * 2 / 3, '1');
  const auto large = [&](const std::string& n) {
    return Matrix(R"({"metric":{"namespace":"blue","pod":"p","n":")" + n +
                  R"("},"values":[[1,")" + values + R"("]]})");
  };
  Answers({{200, large("a")}, {200, large("b")}});
  response = Query("x[5m]");
  EXPECT_EQ(response.status, 422);
  EXPECT_THAT(response.body, HasSubstr("the limit upstream.max_response"));
  EXPECT_EQ(metrics_.upstream_too_large.Value(), 1);
}

TEST_F(RangeTest, ASubqueryByItselfIsOneText) {
  Answers({{200, Matrix("")}});
  EXPECT_THAT(Texts("x[5m:1m]"),
              ElementsAre(R"((x{code="500",namespace="blue"} or )"
                          R"(x{namespace="blue",pod="p"})[5m:1m])"));
}

TEST_F(RangeTest, AsARangeQueryItIsForTheStoreToRefuse) {
  const std::string error = ErrorJson(
      "bad_data", R"(invalid expression type "range vector" for range query)");
  Answers({{400, error}});
  const http::Response response =
      Get("/api/v1/query_range?query=x%5B5m%5D&start=1&end=2&step=1",
          "token-viewer");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body, error);
}

TEST_F(RangeTest, ExplainShowsClausesGrantsAndTexts) {
  Access("lost", "selectors: 'up' source_tenant_ids: 'nobody'");
  query::v1::ExplainRequest request;
  request.set_tenant_id("viewer");
  request.set_query("x[5m]");
  const auto told = ExplainQuery(request, *snapshot_, &pools_);
  ASSERT_TRUE(told.ok()) << told.status();
  EXPECT_THAT(told->enforced_matchers(), IsEmpty());
  EXPECT_THAT(told->clauses(),
              UnorderedElementsAre(R"({code="500",namespace="blue"})",
                                   R"({namespace="blue",pod="p"})"));
  EXPECT_THAT(told->access_ids(), ElementsAre("codes", "pods"));
  EXPECT_THAT(told->notes(),
              ElementsAre(HasSubstr("Access/lost: source tenant nobody")));
  EXPECT_THAT(told->queries(), SizeIs(2));
  EXPECT_EQ(told->query(), told->queries(0));

  DeleteAccess("pods");
  DeleteAccess("codes");
  Access("x", kOverlapping);
  request.set_query(R"(abs({job="a",__insula_name__=""}))");
  EXPECT_EQ(ExplainQuery(request, *snapshot_, &pools_).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace insula::query_frontend
