#include "services/query_frontend/route.h"

#include <gmock/gmock.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace insula::query_frontend {
namespace {

using ::testing::HasSubstr;

TEST(RouteTest, FindsEachEndpointWithAndWithoutPrefix) {
  const std::pair<std::string, Endpoint> cases[] = {
      {"/api/v1/query", Endpoint::kQuery},
      {"/api/v1/query_range", Endpoint::kQueryRange},
      {"/api/v1/query_exemplars", Endpoint::kQueryExemplars},
      {"/api/v1/format_query", Endpoint::kFormatQuery},
      {"/api/v1/parse_query", Endpoint::kParseQuery},
      {"/api/v1/series", Endpoint::kSeries},
      {"/api/v1/labels", Endpoint::kLabels},
      {"/api/v1/label/job/values", Endpoint::kLabelValues},
      {"/api/v1/metadata", Endpoint::kMetadata},
      {"/api/v1/targets", Endpoint::kTargets},
      {"/api/v1/targets/metadata", Endpoint::kTargetMetadata},
      {"/api/v1/rules", Endpoint::kRules},
      {"/api/v1/alerts", Endpoint::kAlerts},
      {"/federate", Endpoint::kFederate},
      {"/api/v1/read", Endpoint::kRead},
      {"/api/v1/status/buildinfo", Endpoint::kBuildInfo},
      {"/api/v1/insula/explain", Endpoint::kExplain},
      {"/-/healthy", Endpoint::kHealthy},
      {"/-/ready", Endpoint::kReady},
  };
  for (const auto& [path, endpoint] : cases) {
    EXPECT_EQ(FindRoute(path).endpoint, endpoint) << path;
    EXPECT_EQ(FindRoute("/prometheus" + path).endpoint, endpoint) << path;
    EXPECT_EQ(FindRoute("/prometheus/prometheus" + path).http_status, 404);
  }
}

TEST(RouteTest, ATenantMayStandBeforeThePath) {
  for (const char* path :
       {"/t/red/api/v1/query", "/t/red/prometheus/api/v1/query",
        "/t/re%64/api/v1/query"}) {
    EXPECT_EQ(FindRoute(path).endpoint, Endpoint::kQuery) << path;
    EXPECT_EQ(FindRoute(path).tenant, "red") << path;
  }
  EXPECT_EQ(FindRoute("/t/.*/api/v1/label/job/values").tenant, ".*");
  EXPECT_EQ(FindRoute("/api/v1/query").tenant, "");
  EXPECT_EQ(FindRoute("/t/red/api/v1/admin/tsdb/snapshot").http_status, 403);
  for (const char* path :
       {"/t", "/t/red", "/t/red/", "/t/red/t/red/api/v1/query",
        "/prometheus/t/red/api/v1/query", "/tt/red/api/v1/query"}) {
    EXPECT_EQ(FindRoute(path).http_status, 404) << path;
  }
  for (const char* path :
       {"/t//api/v1/query", "/t/../api/v1/query", "/t/./api/v1/query",
        "/t/a%2fb/api/v1/query", "/t/%2e%2e/api/v1/query",
        "/t/red%7Cblue/api/v1/query", "/t/red|blue/api/v1/query"}) {
    EXPECT_EQ(FindRoute(path).http_status, 400) << path;
  }
}

TEST(RouteTest, DecodesAPathOnceBeforeComparing) {
  EXPECT_EQ(FindRoute("/api/v1/quer%79").endpoint, Endpoint::kQuery);
  const Route values = FindRoute("/api/v1/label/na%6dE_1/values");
  EXPECT_EQ(values.endpoint, Endpoint::kLabelValues);
  EXPECT_EQ(values.label_name, "namE_1");
}

TEST(RouteTest, RefusesALabelNameThatIsNotALegacyOne) {
  for (const char* name : {"a-b", "1a", "a.b", "a:b", "a(b", "U__a,b", "a=b"}) {
    const Route route =
        FindRoute(absl::StrCat("/api/v1/label/", name, "/values"));
    EXPECT_EQ(route.endpoint, Endpoint::kOther) << name;
    EXPECT_EQ(route.http_status, 400) << name;
    EXPECT_THAT(route.error, HasSubstr("invalid label name")) << name;
  }
}

class PathTrickTest : public testing::TestWithParam<std::string> {};

TEST_P(PathTrickTest, IsRefusedAsABadRequest) {
  const Route route = FindRoute(GetParam());
  EXPECT_EQ(route.endpoint, Endpoint::kOther);
  EXPECT_EQ(route.http_status, 400);
  EXPECT_THAT(route.error, HasSubstr("insula: path"));
}

INSTANTIATE_TEST_SUITE_P(
    All, PathTrickTest,
    testing::Values(
        "", "*", "api/v1/query", "http://victim/api/v1/query", "//api/v1/query",
        "/api//v1/query", "/api/v1//query", "/api/v1/query//",
        "/api/v1/./query", "/api/v1/../v1/query", "/api/v1/query/..",
        "/../api/v1/query", "/api/v1/...//query", "/api/v1/..query",
        "/api/v1/%2e/query", "/api/v1/%2e%2e/v1/query", "/api/v1/%2E%2E/query",
        "/api/v1%2fquery", "/api/v1/query%2f..%2fadmin", "/api/v1%2Fquery",
        "/api/v1/label/job%2fvalues", "/api/v1/label/a%2f..%2fb/values",
        "/api/v1/query%00", "/api/v1/query%0a", "/api/v1/query%0d%0aX: y",
        "/api/v1/query%7f", "/api/v1/query%20", "/api/v1/query%ff",
        "/api/v1/query%252e", "/api/v1/quer%2579", "/api/v1/query;a=b",
        "/api/v1/query%3ba=b", "/api/v1/query%3fquery=up", "/api/v1/query%23",
        "/api/v1/query#a", "/api/v1/query\\..", "/api/v1/query%5c..",
        "/api/v1/query%", "/api/v1/query%7", "/api/v1/query%zz",
        "/api/v1/query ", "/api/v1/query\t", "/api/v1/qu\x01ry",
        "/api/v1/qu\xc3\xa9ry", std::string("/api/v1/query\0", 14)));

class ForbiddenPathTest : public testing::TestWithParam<std::string> {};

TEST_P(ForbiddenPathTest, IsForbiddenWithAndWithoutPrefix) {
  for (const char* prefix : {"", "/prometheus"}) {
    const Route route = FindRoute(prefix + GetParam());
    EXPECT_EQ(route.endpoint, Endpoint::kOther);
    EXPECT_EQ(route.http_status, 403);
    EXPECT_THAT(route.error, HasSubstr("insula: " + GetParam()));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, ForbiddenPathTest,
    testing::Values(
        "/api/v1/admin/tsdb/delete_series", "/api/v1/admin/tsdb/snapshot",
        "/api/v1/admin/tsdb/clean_tombstones", "/api/v1/status/config",
        "/api/v1/status/flags", "/api/v1/status/runtimeinfo",
        "/api/v1/status/tsdb", "/api/v1/status/walreplay",
        "/api/v1/targets/relabel_steps", "/api/v1/scrape_pools",
        "/api/v1/alertmanagers", "/api/v1/write", "/api/v1/otlp/v1/metrics",

        "/api/v1/notifications", "/api/v1/notifications/live", "/api/v1/stores",
        "/metrics", "/-/reload", "/-/quit", "/debug/pprof/",
        "/debug/pprof/heap", "/graph", "/consoles/index.html", "/config",
        "/flags", "/status", "/targets", "/rules", "/alerts", "/version",
        "/service-discovery", "/classic/graph", "/static/main.js"));

TEST(RouteTest, KnowsNothingElse) {
  for (const char* path : {"/",
                           "/api",
                           "/api/v1",
                           "/api/v1/",
                           "/api/v1/query/",
                           "/api/v1/Query",
                           "/API/v1/query",
                           "/api/v2/query",
                           "/api/v1/queryx",
                           "/api/v1/label",
                           "/api/v1/label/job",
                           "/api/v1/label/job/values/",
                           "/api/v1/label/a/b/values",
                           "/api/v1/labels/job/values",
                           "/prometheus",
                           "/prometheus/",
                           "/prometheusapi/v1/query",
                           "/prefix/api/v1/query",
                           "/api/v1/status/buildinfo/",
                           "/api/v1/statusx",
                           "/-/healthyx",
                           "/api/v1/features",
                           "/api/v1/openapi.yaml",
                           "/api/v1/search/metric_names",
                           "/api/v1/rules/red",
                           "/api/v2/silences"}) {
    const Route route = FindRoute(path);
    EXPECT_EQ(route.endpoint, Endpoint::kOther) << path;
    EXPECT_THAT(route.http_status, testing::AnyOf(404, 403)) << path;
  }
  EXPECT_EQ(FindRoute("/api/v1/query/").http_status, 404);
}

TEST(RouteTest, TakesTheMethodsThatPrometheusTakes) {
  for (int i = 0; i < static_cast<int>(kEndpointCount); ++i) {
    const Endpoint endpoint = static_cast<Endpoint>(i);
    EXPECT_EQ(IsAllowed(endpoint, "GET"), endpoint != Endpoint::kRead);
    for (const char* method : {"HEAD", "OPTIONS", "PUT", "PATCH", "DELETE",
                               "TRACE", "CONNECT", "get", "", "*"}) {
      EXPECT_FALSE(IsAllowed(endpoint, method)) << method;
    }
  }
  EXPECT_TRUE(IsAllowed(Endpoint::kQuery, "POST"));
  EXPECT_TRUE(IsAllowed(Endpoint::kQueryRange, "POST"));
  EXPECT_TRUE(IsAllowed(Endpoint::kSeries, "POST"));
  EXPECT_TRUE(IsAllowed(Endpoint::kLabels, "POST"));
  EXPECT_FALSE(IsAllowed(Endpoint::kLabelValues, "POST"));
  EXPECT_FALSE(IsAllowed(Endpoint::kBuildInfo, "POST"));
  EXPECT_FALSE(IsAllowed(Endpoint::kReady, "POST"));
}

}  // namespace
}  // namespace insula::query_frontend
