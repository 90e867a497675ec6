// What operators are shown, and nobody else.

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/logging/logging.h"
#include "services/query_frontend/api_fixture.h"

namespace insula::query_frontend {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::Eq;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;
using testing::SizeIs;

class OperatorPagesTest : public ApiTest {
 protected:
  static std::vector<std::string> Pages() {
    std::vector<std::string> pages;
    for (const EndpointInfo& info : AllEndpoints()) {
      if (IsForOperators(info.endpoint)) pages.emplace_back(info.path);
    }
    return pages;
  }

  json Page(absl::string_view target) {
    const http::Response response = Get(target, "token-operator");
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(*response.headers.Get("Content-Type"), "application/json");
    EXPECT_EQ(*response.headers.Get("Cache-Control"), "no-store");
    return json::parse(response.body);
  }

  std::string Exposed() const { return registry_.Expose(); }
};

TEST_F(OperatorPagesTest, AreForOperatorsAlone) {
  ASSERT_THAT(Pages(), SizeIs(6));
  for (const std::string& page : Pages()) {
    EXPECT_EQ(Get(page, "").status, 401) << page;
    EXPECT_EQ(Get(page, "unknown").status, 401) << page;
    EXPECT_EQ(Get(page, "token-red").status, 403) << page;
    EXPECT_EQ(Get(page, "token-sender").status, 403) << page;
    EXPECT_EQ(Send(Request("POST", page, "token-operator")).status, 405)
        << page;
    for (const char* prefix : {"/prometheus", "/t/red", "/t/red/prometheus"}) {
      const int status = Get(prefix + page, "token-operator").status;
      EXPECT_TRUE(status == 403 || status == 404) << prefix << page << status;
    }
  }
  EXPECT_THAT(store_.asked(), IsEmpty());
}

TEST_F(OperatorPagesTest, OperatorsReadNoTenantByThatRole) {
  EXPECT_EQ(Get("/api/v1/query?query=up", "token-operator").status, 403);
  EXPECT_THAT(store_.asked(), IsEmpty());
}

TEST_F(OperatorPagesTest, HealthAndTargetsTellOfStores) {
  const json before = Page("/health");
  EXPECT_EQ(before["status"], "healthy");
  EXPECT_EQ(before["total_targets"], 3);  // shared, split and down.
  EXPECT_EQ(before["healthy_targets"], 3);
  EXPECT_EQ(before["tenants"], 9);
  EXPECT_EQ(before.size(), 4);

  EXPECT_EQ(Get("/api/v1/query?query=up", "token-cut").status, 503);
  EXPECT_EQ(Page("/health")["healthy_targets"], 2);
  std::vector<std::pair<std::string, bool>> targets;
  const json page = Page("/debug/targets");
  for (const json& target : page["targets"]) {
    EXPECT_EQ(target.size(), 3);
    EXPECT_THAT(target["last_seen"].get<std::string>(), HasSubstr("T"));
    targets.emplace_back(target["url"], target["healthy"]);
  }
  EXPECT_THAT(targets,
              ElementsAre(Pair("http://127.0.0.1:1/", false),
                          Pair(store_.url(), true), Pair(store_.url(), true)));
}

TEST_F(OperatorPagesTest, EachReplicaIsAsItsProbesAndRequestsFindIt) {
  store_.SetAnswer(200, kVector);
  tenancy::SnapshotBuilder builder(*snapshot_);
  const auto put = [&](const char* id, const std::string& url,
                       const std::function<void(v1::Upstream*)>& fill) {
    Put(&builder, v1::KIND_UPSTREAM, id, [&](v1::Object* object) {
      object->mutable_upstream()->set_isolation(v1::Upstream::ISOLATION_LABEL);
      object->mutable_upstream()->set_query_url(url);
      fill(object->mutable_upstream());
    });
  };
  put("shared", "http://127.0.0.1:1/", [&](v1::Upstream* upstream) {
    upstream->add_more_query_urls(store_.url());
    upstream->set_query_balance(v1::Upstream::QUERY_BALANCE_FIRST);
  });
  // Found nowhere.
  put("down", "http://127.0.0.1:2/",
      [](v1::Upstream* upstream) { upstream->set_query_file("missing.json"); });
  snapshot_ = std::move(builder).Build(8, "e");
  const auto targets = [this](const char* member) {
    std::vector<json> values;
    const json page = Page("/debug/targets");
    for (const json& target : page["targets"]) {
      values.push_back(target[member]);
    }
    return values;
  };
  EXPECT_EQ(Page("/health")["total_targets"], 3);  // None was asked yet.
  EXPECT_EQ(Get("/api/v1/query?query=up", "token-cut").status, 503);
  const std::string begun = targets("last_seen")[1];
  // Answered by the second replica, in the end without asking the first.
  WaitFor([&] {
    EXPECT_EQ(Get("/api/v1/query?query=up").status, 200);
    return Page("/health")["healthy_targets"] == 2;
  });
  EXPECT_EQ(Page("/health")["total_targets"], 4);
  EXPECT_THAT(targets("url"),
              ElementsAre("http://127.0.0.1:2/", "http://127.0.0.1:1/",
                          store_.url(), store_.url()));
  EXPECT_THAT(targets("healthy"), ElementsAre(false, false, true, true));
  const std::vector<json> seen = targets("last_seen");
  EXPECT_EQ(seen[1], begun);
  EXPECT_GT(seen[2].get<std::string>(), begun);
  EXPECT_THAT(Exposed(),
              HasSubstr("\nprometheus_proxy_targets_discovered 4\n"));
  // One that is well is enough.
  EXPECT_EQ(Get("/collected-metrics?metric=up", "token-operator").status, 200);
}

TEST_F(OperatorPagesTest, TenantsAreListedWithTheirNamespace) {
  const json tenants = Page("/debug/tenants")["tenants"];
  ASSERT_EQ(tenants.size(), 9);
  EXPECT_EQ(tenants[0], json::parse(R"({"id":"bare","name":"bare",)"
                                    R"("namespace":"bare","patterns":0})"));
  EXPECT_EQ(tenants[8]["id"], "writer");
}

TEST_F(OperatorPagesTest, RefusalsAreKeptByTenantWithAnExample) {
  Get("/api/v1/query?query=sum(up%7B");
  Get("/api/v1/query?query=up&query=down");
  Get("/api/v1/query?query=up", "token-homeless");
  Get("/api/v1/query?query=up", "stolen");
  Get("/api/v1/admin/tsdb/snapshot");

  const json all = Page("/debug/rejected");
  std::set<std::string> tenants;
  for (const json& tenant : all["tenants"]) tenants.insert(tenant["tenant"]);
  EXPECT_THAT(tenants, ElementsAre("homeless", "red"));
  ASSERT_EQ(all["of_nobody"].size(), 2);
  EXPECT_EQ(all["of_nobody"][0]["reason"], "forbidden");
  EXPECT_EQ(all["of_nobody"][1]["reason"], "credentials");

  const json red = Page("/debug/rejected?tenant=red")["refusals"];
  ASSERT_EQ(red.size(), 2);
  EXPECT_EQ(red[0]["reason"], "bad_request");
  EXPECT_THAT(red[0]["detail"].get<std::string>(), HasSubstr("more than once"));
  EXPECT_EQ(red[1]["example"], "sum(up{");
  EXPECT_EQ(red[1]["caller"], "binding/red");
  EXPECT_EQ(Page("/debug/rejected?tenant=blue")["refusals"].size(), 0);
  EXPECT_THAT(all.dump(), Not(HasSubstr("stolen")));

  for (int i = 0; i < 150; ++i) Get("/api/v1/query?query=up%7B");
  EXPECT_EQ(Page("/debug/rejected?tenant=red")["refusals"].size(), 100);
}

TEST_F(OperatorPagesTest, QueriesAreShownWhileTheyRunAndWhenTheyWereSlow) {
  json seen;
  store_.SetAnswer(
      [&](http::Request) -> boost::asio::awaitable<http::Response> {
        http::Response response;
        response.headers.Set("Content-Type", "application/json");
        response.body = kVector;
        for (const auto& query : book_.queries().AllRunning(10)) {
          seen.push_back({query.tenant, query.endpoint, query.text});
        }
        co_return response;
      });
  Get("/api/v1/query?query=sum(up)");
  EXPECT_EQ(seen, json::parse(R"x([["red","query","sum(up)"]])x"));

  const json queries = Page("/debug/queries");
  EXPECT_EQ(queries["running"].size(), 0);
  ASSERT_EQ(queries["slow"].size(), 1);  // All are, in this test.
  EXPECT_EQ(queries["slow"][0]["tenant"], "red");
  EXPECT_EQ(queries["slow"][0]["query"], "sum(up)");
  EXPECT_EQ(queries["slow"][0]["code"], 200);
  EXPECT_GT(queries["slow"][0]["seconds"], 0);

  store_.SetAnswer(nullptr);
  for (int i = 0; i < 30; ++i) {
    Get(absl::StrCat("/api/v1/query?query=up+%2B+", i));
  }
  Get("/api/v1/query?query=up", "token-blue");
  const json many = Page("/debug/queries")["slow"];
  EXPECT_EQ(many.size(), 21);  // 20 of a tenant.
  EXPECT_EQ(many[0]["tenant"], "blue");
  EXPECT_EQ(many[1]["query"], "up + 29");
}

TEST_F(OperatorPagesTest, LongQueriesAreCut) {
  Post("/api/v1/query", "query=" + std::string(5000, '-') + "up");
  Post("/api/v1/series", "match[]=up&match[]=" + std::string(5000, 'x'));
  const json slow = Page("/debug/queries")["slow"];
  ASSERT_EQ(slow.size(), 2);
  for (const json& query : slow) {
    EXPECT_EQ(query["query"].get<std::string>().size(), 1024);
  }
}

TEST_F(OperatorPagesTest, CollectedMetricsAreThoseOfAWholeStore) {
  store_.SetAnswer(
      200, R"({"status":"success","data":{"resultType":"vector","result":[)"
           R"({"metric":{"__name__":"up","pod":"a\"\n\\b"},"value":[1.5,"1"]},)"
           R"({"metric":{},"value":[2,"NaN"]}]}})");
  const http::Response response =
      Get("/collected-metrics?metric=up%7Bpod!%3D%22%22%7D", "token-operator");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(*response.headers.Get("Content-Type"), HasSubstr("text/plain"));
  EXPECT_EQ(response.body,
            "# Job: shared/up{pod!=\"\"} (2 metrics)\n"
            "up{pod=\"a\\\"\\n\\\\b\"} 1 1500\n{} NaN 2000\n");
  ASSERT_THAT(store_.asked(), SizeIs(1));
  EXPECT_THAT(store_.asked()[0].Params(),
              ElementsAre(Pair("query", "topk(10, up{pod!=\"\"})")));

  Get("/collected-metrics", "token-operator");
  EXPECT_THAT(store_.asked(), SizeIs(11));

  for (const char* wrong : {"up%7B", "1", "up%5B5m%5D", "up)"}) {
    EXPECT_EQ(
        Get(absl::StrCat("/collected-metrics?metric=", wrong), "token-operator")
            .status,
        400)
        << wrong;
  }
  EXPECT_THAT(store_.asked(), SizeIs(11));
}

TEST_F(OperatorPagesTest, MetricsHaveThePredecessorsNames) {
  store_.SetAnswer(200, kVector);
  Get("/api/v1/query?query=up");
  Post("/api/v1/query", "query=up%7B");
  Get("/api/v1/label/secret_label/values");
  Get("/api/v1/nothing/of/the/kind", "token-x");
  Send(Request("PATCH", "/api/v1/query", "token-red"));
  Get("/api/v1/query?query=up", "token-cut");
  const std::string text = Exposed();
  for (
      const std::string& line : std::vector<std::string>{
          "# TYPE prometheus_proxy_requests_total counter",
          R"(prometheus_proxy_requests_total{method="GET",path="/api/v1/query",status="200"} 1)",
          R"(prometheus_proxy_requests_total{method="POST",path="/api/v1/query",status="400"} 1)",
          R"(prometheus_proxy_requests_total{method="GET",path="/api/v1/query",status="503"} 1)",
          R"(prometheus_proxy_requests_total{method="other",path="/api/v1/query",status="405"} 1)",
          R"(prometheus_proxy_requests_total{method="GET",path="other",status="404"} 1)",
          "# TYPE prometheus_proxy_request_duration_seconds histogram",
          R"(prometheus_proxy_request_duration_seconds_count{method="GET",path="/api/v1/label/:name/values"} 1)",
          "# TYPE prometheus_proxy_backend_requests_total counter",
          absl::StrCat(R"(prometheus_proxy_backend_requests_total{backend=")",
                       store_.url(), R"(",status="200"} 2)"),
          R"(prometheus_proxy_backend_requests_total{backend="http://127.0.0.1:1/",status="error"} 1)",
          "# TYPE prometheus_proxy_targets_discovered gauge",
          "prometheus_proxy_targets_discovered 3",
          "prometheus_proxy_tenants_active 9",
      }) {
    EXPECT_THAT(text, HasSubstr(line + "\n"));
  }
  EXPECT_THAT(
      text, AllOf(Not(HasSubstr("secret_label")), Not(HasSubstr("of/the/kind")),
                  Not(HasSubstr("token-x"))));
}

TEST_F(OperatorPagesTest, TheRequestLogHasNeitherSecretsNorWhatIsAskedFor) {
  store_.SetAnswer(200, kVector);
  RequestBook book({.request_log = true, .slow_query = absl::ZeroDuration()},
                   &clock_, &metrics_);
  ApiHandler handler([this] { return snapshot_; }, &clock_, &pools_,
                     &admission_, &answering_, &book, &pages_, &metrics_);
  testing::internal::CaptureStderr();
  for (const char* token : {"token-red", "stolen"}) {
    boost::asio::co_spawn(
        boost::asio::make_strand(pool_),
        handler.Handle(
            Request("GET", "/api/v1/query?query=up%7Bpod%3D%22canary%22%7D",
                    token),
            &auth_),
        boost::asio::use_future)
        .get();
  }
  logging::Flush();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("msg=answered request_id=id-1 endpoint=query "
                             "tenant=red caller=binding/red code=200"));
  EXPECT_THAT(log, HasSubstr("code=401"));
  EXPECT_THAT(log, AllOf(Not(HasSubstr("canary")), Not(HasSubstr("token-red")),
                         Not(HasSubstr("stolen"))));
}

}  // namespace
}  // namespace insula::query_frontend
