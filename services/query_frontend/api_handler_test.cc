#include "services/query_frontend/api_handler.h"

#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "libs/auth/authenticator.h"
#include "libs/auth/fake_verifier.h"
#include "libs/status/status_matchers.h"
#include "libs/tenancy/snapshot.h"
#include "services/query_frontend/api_fixture.h"

namespace insula::query_frontend {
namespace {

using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Optional;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST_F(ApiTest, AsksAConfinedQuery) {
  store_.SetAnswer(200, kVector);
  const http::Response response =
      Get("/api/v1/query?query=up%7Bjob%3D%22a%22%7D&time=1760003000.123&"
          "timeout=5s&dedup=false");

  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, kVector);
  ASSERT_THAT(store_.asked(), SizeIs(1));
  const Asked asked = store_.asked()[0];
  EXPECT_EQ(asked.method, "POST");
  EXPECT_EQ(asked.target, "/store/api/v1/query");
  EXPECT_EQ(asked.headers.Get("Content-Type"), kForm);
  EXPECT_THAT(asked.Params(),
              ElementsAre(Pair("time", "1760003000.123"), Pair("timeout", "5s"),
                          Pair("query", R"(up{job="a",namespace="red"})")));
}

TEST_F(ApiTest, ConfinesEachSelectorOfARangeQuery) {
  store_.SetAnswer(
      200,
      R"({"status":"success","data":{"resultType":"matrix","result":[]}})");
  const http::Response response =
      Post("/prometheus/api/v1/query_range?step=1m",
           "query=a+or+max_over_time(b%7Bnamespace%3D%22blue%22%7D%5B5m%3A1m%5D"
           ")&start=0&end=2026-11-21T10:00:00Z&step=");

  EXPECT_EQ(response.status, 400);  // step twice.
  const http::Response good = Post(
      "/prometheus/api/v1/query_range?step=1w",
      "query=a+or+max_over_time(b%7Bnamespace%3D%22blue%22%7D%5B5m%3A1m%5D)&"
      "start=0&end=1970-01-08T00:00:00Z");
  EXPECT_EQ(good.status, 200) << good.body;
  ASSERT_THAT(store_.asked(), SizeIs(1));
  EXPECT_EQ(store_.asked()[0].target, "/store/api/v1/query_range");
  EXPECT_THAT(
      store_.asked()[0].Params(),
      ElementsAre(
          Pair("end", "604800.000"), Pair("start", "0.000"), Pair("step", "1w"),
          Pair("query", R"(a{namespace="red"} or )"
                        R"(max_over_time(b{namespace="blue",namespace="red"})"
                        R"([5m:1m]))")));
}

TEST_F(ApiTest, AddsTheEnforcedLabelToEachMatch) {
  const http::Response response =
      Post("/api/v1/series?match[]=up&start=1",
           "match[]=%7Bnamespace%3D%22blue%22%7D&match[]=%7Bnamespace%3D%22red"
           "%22%7D");

  EXPECT_EQ(response.status, 200);
  ASSERT_THAT(store_.asked(), SizeIs(1));
  EXPECT_EQ(store_.asked()[0].method, "POST");
  EXPECT_EQ(store_.asked()[0].target, "/store/api/v1/series");
  EXPECT_THAT(
      store_.asked()[0].Params(),
      ElementsAre(Pair("start", "1"),
                  Pair("match[]", R"({__name__="up",namespace="red"})"),
                  Pair("match[]", R"({namespace="blue",namespace="red"})"),
                  Pair("match[]", R"({namespace="red"})")));
}

TEST_F(ApiTest, EnforcesAMatchWhereNoneIsGiven) {
  EXPECT_EQ(Get("/api/v1/labels?start=1").status, 200);
  EXPECT_EQ(Get("/api/v1/label/jo%62/values?limit=9").status, 200);

  ASSERT_THAT(store_.asked(), SizeIs(2));
  EXPECT_EQ(store_.asked()[0].method, "POST");
  EXPECT_EQ(store_.asked()[0].target, "/store/api/v1/labels");
  EXPECT_THAT(
      store_.asked()[0].Params(),
      ElementsAre(Pair("start", "1"), Pair("match[]", R"({namespace="red"})")));
  EXPECT_EQ(store_.asked()[1].method, "GET");
  EXPECT_THAT(store_.asked()[1].target,
              StartsWith("/store/api/v1/label/job/values?"));
  EXPECT_EQ(store_.asked()[1].body, "");
  EXPECT_THAT(
      store_.asked()[1].Params(),
      ElementsAre(Pair("limit", "9"), Pair("match[]", R"({namespace="red"})")));
}

TEST_F(ApiTest, NamesTheTenantToAStoreThatIsolatesByHeader) {
  store_.SetAnswer(200, kVector);
  EXPECT_EQ(Get("/api/v1/query?query=up", "token-own").status, 200);
  EXPECT_EQ(Get("/api/v1/query?query=up", "token-both").status, 200);
  store_.SetAnswer(200, R"({"status":"success","data":[]})");
  EXPECT_EQ(Get("/api/v1/labels", "token-own").status, 200);

  ASSERT_THAT(store_.asked(), SizeIs(3));
  EXPECT_EQ(store_.asked()[0].headers.Get("X-Scope-OrgID"), "own-org");
  EXPECT_THAT(store_.asked()[0].Params(), ElementsAre(Pair("query", "up")));
  EXPECT_EQ(store_.asked()[1].headers.Get("X-Scope-OrgID"), "both");
  EXPECT_THAT(store_.asked()[1].Params(),
              ElementsAre(Pair("query", R"(up{namespace="both"})")));
  EXPECT_THAT(store_.asked()[2].Params(), IsEmpty());
}

TEST_F(ApiTest, ForwardsNoHeaderOfTheClient) {
  http::Request request =
      Request("POST", "/api/v1/query", "token-red", "query=up");
  const std::vector<std::string> names = {"X-Tenant-Namespace",
                                          "X-Internal-Collection",
                                          "X-Tenant",
                                          "THANOS-TENANT",
                                          "X-Forwarded-For",
                                          "X-Forwarded-User",
                                          "X-Remote-User",
                                          "X-Remote-Group",
                                          "Impersonate-User",
                                          "x-rh-certauth-cn",
                                          "Cookie",
                                          "Proxy-Authorization",
                                          "X-HTTP-Method-Override",
                                          "Accept",
                                          "Accept-Language",
                                          "Referer",
                                          "Origin",
                                          "User-Agent",
                                          "Range",
                                          "If-None-Match",
                                          "Via",
                                          "traceparent",
                                          "TE",
                                          "Upgrade"};
  for (const std::string& name : names) request.headers.Add(name, "canary");
  request.headers.Add("Connection", "X-Scope-OrgID, Content-Type");
  store_.SetAnswer(200, kVector);

  EXPECT_EQ(Send(std::move(request)).status, 200);
  ASSERT_THAT(store_.asked(), SizeIs(1));
  const std::set<std::string> ours = {"accept",       "accept-encoding",
                                      "connection",   "content-length",
                                      "content-type", "host",
                                      "user-agent",   "x-request-id"};
  const Asked asked = store_.asked()[0];
  for (const auto& [name, value] : asked.headers) {
    EXPECT_THAT(ours, testing::Contains(absl::AsciiStrToLower(name)));
    EXPECT_THAT(value, Not(HasSubstr("canary"))) << name;
    EXPECT_THAT(value, Not(HasSubstr("token"))) << name;
    EXPECT_THAT(value, Not(HasSubstr("OrgID"))) << name;
  }
}

TEST_F(ApiTest, RelaysNoHeaderOfTheStore) {
  const http::Response response = Get("/api/v1/labels");
  std::set<std::string> names;
  for (const auto& [name, value] : response.headers) {
    names.insert(name);
    EXPECT_THAT(value, Not(HasSubstr("canary"))) << name;
  }
  EXPECT_THAT(names, testing::UnorderedElementsAre(
                         "Content-Type", "Cache-Control", "X-Insula-Tenant"));
  EXPECT_EQ(response.headers.Get("X-Insula-Tenant"), "red");
  EXPECT_EQ(response.headers.Get("Content-Type"), "application/json");
}

TEST_F(ApiTest, AnswersBuildInfoItself) {
  const http::Response response = Get("/api/v1/status/buildinfo");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, HasSubstr(R"("version":"2.42.0")"));
  EXPECT_THAT(store_.asked(), IsEmpty());
}

TEST_F(ApiTest, AnswersHealthWithoutACredential) {
  EXPECT_EQ(Get("/-/healthy", "").status, 200);
  EXPECT_EQ(Get("/-/ready", "").status, 200);
  snapshot_ = std::make_shared<tenancy::Snapshot>();
  EXPECT_EQ(Get("/-/healthy", "").status, 200);
  EXPECT_EQ(Get("/-/ready", "").status, 503);
  EXPECT_EQ(Get("/api/v1/query?query=up").status, 503);
}

TEST_F(ApiTest, LetsABindingOfSeveralTenantsNameOne) {
  http::Request request = Request("GET", "/api/v1/labels", "token-two");
  EXPECT_EQ(Send(Request("GET", "/api/v1/labels", "token-two")).status, 400);
  request.headers.Set("X-Scope-OrgID", "red");
  const http::Response response = Send(std::move(request));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.Get("X-Insula-Tenant"), "red");
  request = Request("GET", "/api/v1/labels", "token-two");
  request.headers.Set("X-Scope-OrgID", "blue");
  EXPECT_EQ(Send(std::move(request)).status, 403);
  EXPECT_THAT(store_.asked(), SizeIs(1));
}

struct Refused {
  std::string method;
  std::string target;
  std::string body;
  std::string token;
  int http_status;
  std::string error;
};

void PrintTo(const Refused& refused, std::ostream* os) {
  *os << refused.method << " " << refused.target << " " << refused.body << " "
      << refused.token;
}

class RefusalTest : public ApiTest,
                    public testing::WithParamInterface<Refused> {};

TEST_P(RefusalTest, IsToldInPrometheusJsonAndNothingIsAsked) {
  const Refused& refused = GetParam();
  const http::Response response = Send(
      Request(refused.method, refused.target, refused.token, refused.body));
  EXPECT_EQ(response.status, refused.http_status) << response.body;
  EXPECT_EQ(response.headers.Get("Content-Type"), "application/json");
  EXPECT_THAT(response.body, StartsWith(R"({"status":"error","errorType":")"));
  EXPECT_THAT(response.body, HasSubstr(refused.error));
  EXPECT_THAT(response.body, Not(HasSubstr("token-")));
  EXPECT_EQ(response.headers.Count("WWW-Authenticate"),
            refused.http_status == 401 ? 1u : 0u);
  EXPECT_EQ(response.headers.Count("Allow"),
            refused.http_status == 405 ? 1u : 0u);
  EXPECT_THAT(store_.asked(), IsEmpty());
}

constexpr char kQuery[] = "/api/v1/query?query=up";

INSTANTIATE_TEST_SUITE_P(
    Credentials, RefusalTest,
    testing::Values(
        Refused{"GET", kQuery, "", "", 401, "insula: "},
        Refused{"GET", kQuery, "", "token-none", 401, "insula: "},
        Refused{"GET", kQuery, "", "token-sender", 403, "insula: "},
        Refused{"GET", "/api/v1/status/buildinfo", "", "", 401, "insula: "},
        Refused{"GET", "/api/v1/labels", "", "token-two", 400, "insula: "}));

INSTANTIATE_TEST_SUITE_P(
    Policy, RefusalTest,
    testing::Values(
        Refused{"GET", kQuery, "", "token-bare", 403,
                "insula: tenant bare has no enforced label, but its upstream "
                "shared isolates by label; set Tenant.enforced_labels"},
        Refused{"GET", "/api/v1/labels", "", "token-bare", 403,
                "no enforced label"},
        Refused{"GET", "/api/v1/series?match[]=up", "", "token-bare", 403,
                "no enforced label"},
        Refused{"GET", kQuery, "", "token-homeless", 403,
                "insula: tenant homeless has no store"},
        Refused{"GET", kQuery, "", "token-writer", 403,
                "takes no queries, set Upstream.query_url"},
        Refused{"GET", kQuery, "", "token-lost", 503,
                "insula: upstream missing of tenant lost is not known"}));

INSTANTIATE_TEST_SUITE_P(
    Methods, RefusalTest,
    testing::Values(
        Refused{"PUT", kQuery, "", "token-red", 405, "insula: query takes"},
        Refused{"HEAD", kQuery, "", "token-red", 405, "insula: query takes"},
        Refused{"OPTIONS", kQuery, "", "token-red", 405, "insula: query takes"},
        Refused{"DELETE", "/api/v1/series?match[]=a", "", "token-red", 405,
                "takes GET, POST"},
        Refused{"POST", "/api/v1/label/job/values", "match[]=up", "token-red",
                405, "label_values takes GET"},
        Refused{"POST", "/api/v1/admin/tsdb/delete_series", "match[]=up",
                "token-red", 403, "not open to tenants"},
        Refused{"PUT", "/-/quit", "", "token-red", 403, "not open to tenants"},
        Refused{"GET", "/federate?match[]=up", "", "token-red", 403,
                "federate is not open here"},
        Refused{"GET", "/api/v1/nothing", "", "token-red", 404, "there is no"},
        Refused{"GET", "/api/v1/../v1/query?query=up", "", "token-red", 400,
                "insula: path"}));

INSTANTIATE_TEST_SUITE_P(
    Parameters, RefusalTest,
    testing::Values(
        Refused{"GET", "/api/v1/query", "", "token-red", 400,
                R"(invalid parameter \"query\": )"},
        Refused{"GET", "/api/v1/query?query=up%7B", "", "token-red", 400,
                R"(invalid parameter \"query\": 1:)"},
        Refused{"GET", "/api/v1/query?query=%7B%7D", "", "token-red", 400,
                R"(invalid parameter \"query\": )"},
        Refused{"GET", "/api/v1/query?query=up%00", "", "token-red", 400,
                R"(invalid parameter \"query\": )"},
        Refused{"GET", "/api/v1/query?query=up%ff", "", "token-red", 400,
                R"(invalid parameter \"query\": )"},
        Refused{"GET", "/api/v1/query?query=up&query=down", "", "token-red",
                400, "is given more than once"},
        Refused{"POST", "/api/v1/query?query=up", "query=up", "token-red", 400,
                "is given more than once"},
        Refused{"POST", "/api/v1/query", "query=up;time=1", "token-red", 400,
                "insula: form in the body"},
        Refused{"GET", "/api/v1/series", "", "token-red", 400,
                "no match[] parameter provided"},
        Refused{"GET", "/api/v1/series?match[]=%7B%7D", "", "token-red", 400,
                R"(invalid parameter \"match[]\": match[] must contain at )"
                "least one non-empty matcher"},
        Refused{"GET", "/api/v1/labels?match[]=%7Ba=~%22.*%22%7D", "",
                "token-red", 400, "at least one non-empty matcher"},
        Refused{"GET", "/api/v1/labels?match[]=up&match[]=", "", "token-red",
                400, R"(invalid parameter \"match[]\": )"},
        Refused{"GET", "/api/v1/labels?match[]=up&match[]=sum(up)", "",
                "token-red", 400, R"(invalid parameter \"match[]\": )"},
        Refused{"GET", "/api/v1/labels?match[]=up%7Ba=~%22(%22%7D", "",
                "token-red", 400, R"(invalid parameter \"match[]\": )"},
        Refused{"GET", "/api/v1/label/a-b/values", "", "token-red", 400,
                "invalid label name"}));

TEST_F(ApiTest, RefusesABodyOfAnotherType) {
  for (const char* type :
       {"application/json", "multipart/form-data; boundary=x", "text/plain",
        ""}) {
    http::Request request =
        Request("POST", "/api/v1/query", "token-red", "query=up");
    request.headers.Set("Content-Type", type);
    const http::Response response = Send(std::move(request));
    EXPECT_EQ(response.status, 415) << type;
    EXPECT_THAT(response.body, HasSubstr("insula: the body must be"));
  }
  EXPECT_THAT(store_.asked(), IsEmpty());
}

TEST_F(ApiTest, BoundsTheTextOfQueriesAndMatches) {
  const std::string longest = "up" + std::string((256 << 10) - 2, '+');
  store_.SetAnswer(200, kVector);
  EXPECT_EQ(Post("/api/v1/query", "query=" + longest).status, 200);
  const http::Response query = Post("/api/v1/query", "query=" + longest + "+");
  EXPECT_EQ(query.status, 400);
  EXPECT_THAT(query.body,
              HasSubstr("insula: tenant red: the query has 262145 bytes, the "
                        "limit max_query_bytes is 262144"));

  std::string matches;
  for (int i = 0; i < 101; ++i) absl::StrAppend(&matches, "&match[]=up");
  const http::Response series = Post("/api/v1/series", matches.substr(1));
  EXPECT_EQ(series.status, 400);
  EXPECT_THAT(series.body, HasSubstr("insula: tenant red: 101 match[]"));
  EXPECT_THAT(store_.asked(), SizeIs(1));
}

TEST_F(ApiTest, AsksAVerifierAboutTokensThatNoBindingNames) {
  v1::Object binding;
  binding.mutable_meta()->set_kind(v1::KIND_BINDING);
  binding.mutable_meta()->set_id("ann");
  auto* fact = binding.mutable_binding()->mutable_jwt();
  fact->set_issuer("https://id");
  fact->set_claim("sub");
  fact->set_value("ann");
  binding.mutable_binding()->add_tenant_ids("red");
  binding.mutable_binding()->add_roles(v1::ROLE_READ);
  tenancy::SnapshotBuilder builder(*snapshot_);
  ASSERT_THAT(builder.Put(binding), IsOk());
  snapshot_ = std::move(builder).Build(2, "epoch");

  auth::ListenerAuth config;
  config.jwt.emplace_back();
  const auto verifier = std::make_shared<auth::FakeVerifier>("jwt");
  verifier->answers.emplace("late-ann", verifier->Named("ann"));
  verifier->answers.emplace("late-eve", verifier->Named("eve"));
  verifier->answers.emplace("late-down", absl::UnavailableError("down"));
  verifier->answers.emplace("late-many", absl::ResourceExhaustedError("many"));
  auth::Methods methods;
  methods.bearer = verifier;
  const auth::Authenticator listener(config, methods);
  const auto ask = [&](absl::string_view token) {
    return boost::asio::co_spawn(
               boost::asio::make_strand(pool_),
               handler_.Handle(Request("GET", "/api/v1/labels", token),
                               &listener),
               boost::asio::use_future)
        .get();
  };
  EXPECT_EQ(ask("late-eve").status, 403);
  EXPECT_EQ(ask("late-nobody").status, 401);
  EXPECT_EQ(ask("late-down").status, 503);
  EXPECT_EQ(ask("late-many").status, 429);
  EXPECT_EQ(ask("cached-eve").status, 403);
  EXPECT_EQ(metrics_.refused_credentials.Value(), 5);
  const http::Response late = ask("late-ann");
  EXPECT_EQ(late.status, 200);
  EXPECT_THAT(late.headers.Get("X-Insula-Tenant"), Optional(Eq("red")));
  EXPECT_EQ(ask("cached-ann").status, 200);
  EXPECT_EQ(ask("token-red").status, 200);
  EXPECT_EQ(verifier->asked.size(), 5u);

  // Before the body is read, only what takes no waiting is refused.
  EXPECT_EQ(
      handler_.Admit(Request("POST", "/api/v1/labels", "late-eve"), &listener),
      std::nullopt);
  const auto refused = handler_.Admit(
      Request("POST", "/api/v1/labels", "cached-eve"), &listener);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->status, 403);
}

TEST_F(ApiTest, RefusesBeforeTheBodyWhatTheHeadDecides) {
  const auto status = [this](http::Request request) {
    const auto response = handler_.Admit(request, &auth_);
    return response ? response->status : 0;
  };
  EXPECT_EQ(status(Request("POST", "/api/v1/query", "token-red")), 0);
  EXPECT_EQ(status(Request("POST", "/api/v1/query", "token-none")), 401);
  EXPECT_EQ(status(Request("POST", "/api/v1/write", "token-red")), 403);
  EXPECT_EQ(status(Request("PUT", "/api/v1/query", "token-red")), 405);
  EXPECT_EQ(status(Request("POST", "/x", "token-red")), 404);
}

TEST_F(ApiTest, CountsWhatItAnswersAndRefuses) {
  Get("/api/v1/labels");
  Get("/api/v1/labels", "");
  Get("/api/v1/status/config");
  Get("/api/v1/query?query=up%7B");
  Get("/api/v1/query?query=up&time=x");
  Get("/api/v1/labels", "token-bare");
  EXPECT_EQ(metrics_.Requests(Endpoint::kLabels, 200).Value(), 1);
  EXPECT_EQ(metrics_.Requests(Endpoint::kLabels, 401).Value(), 1);
  EXPECT_EQ(metrics_.Requests(Endpoint::kOther, 403).Value(), 1);
  EXPECT_EQ(metrics_.refused_credentials.Value(), 1);
  EXPECT_EQ(metrics_.refused_path.Value(), 1);
  EXPECT_EQ(metrics_.refused_query.Value(), 1);
  EXPECT_EQ(metrics_.refused_parameter.Value(), 1);
  EXPECT_EQ(metrics_.refused_policy.Value(), 1);
  EXPECT_THAT(registry_.Expose(),
              HasSubstr("query_frontend_requests_total{code=\"200\","
                        "endpoint=\"labels\"} 1"));
}

}  // namespace
}  // namespace insula::query_frontend
