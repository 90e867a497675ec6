#include "services/tenant_registry/kube_declaration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"
#include "services/tenant_registry/kube_remote_write.h"

namespace insula::tenant_registry {
namespace {

using nlohmann::json;
using Kind = KubeDeclaration::Kind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::StartsWith;

json Object(const json& spec, absl::string_view name = "web") {
  return {{"metadata",
           {{"namespace", "red"},
            {"name", std::string(name)},
            {"uid", "u-1"},
            {"generation", 3}}},
          {"spec", spec}};
}

json Access() { return {{"metrics", {"up"}}, {"source", "red"}}; }

json Push() {
  return json::parse(R"({
    "enabled": true, "interval": "30s", "target": {"type": "remote_write"},
    "remoteWrite": {"url": "https://metrics.example.com/api/v1/write"}})");
}

std::string ProblemOf(const KubeDeclaration& read) {
  return std::string(read.problem.message());
}
std::string ProblemOf(Kind kind, const json& object) {
  return ProblemOf(ReadKubeObject(kind, object));
}

// What reading a MetricAccess says is wrong, after `path` of it became `value`.
std::string ProblemWith(absl::string_view path, const json& value) {
  json spec = Access();
  spec["remoteWrite"] = Push();
  spec[json::json_pointer(std::string(path))] = value;
  const KubeDeclaration read =
      ReadKubeObject(Kind::kMetricAccess, Object(spec));
  if (read.problem.ok()) return "OK";
  EXPECT_TRUE(absl::IsInvalidArgument(read.problem));
  EXPECT_THAT(read.metrics, IsEmpty()) << "nothing of a wrong object is kept";
  return ProblemOf(read);
}

TEST(KubeDeclarationTest, ReadsAMetricAccess) {
  const KubeDeclaration read =
      ReadKubeObject(Kind::kMetricAccess, Object(json::parse(R"({
        "source": "red", "metricIsolation": true,
        "metrics": ["http_requests_total", "node_.*", "{job=\"a,b\"}",
                    "{__name__=~\"node_.*\",job!~\"x|y\"}", "up{job=\"a\"}"],
        "labelSelectors": {"environment": "production"},
        "remoteWrite": {"enabled": false}})")));

  EXPECT_THAT(read.problem, IsOk());
  EXPECT_EQ(read.name_space, "red");
  EXPECT_EQ(read.name, "web");
  EXPECT_EQ(read.uid, "u-1");
  EXPECT_EQ(read.generation, 3);
  EXPECT_EQ(read.metrics.size(), 5);
  EXPECT_EQ(read.source, "red");
  EXPECT_FALSE(read.isolation_off);
  EXPECT_THAT(read.label_selectors,
              ElementsAre(Pair("environment", "production")));
  ASSERT_TRUE(read.remote_write.has_value());
  EXPECT_FALSE(read.remote_write->enabled);
}

TEST(KubeDeclarationTest, IsolationIsOffOnlyWhereItIsSaid) {
  json spec = Access();
  EXPECT_FALSE(ReadKubeObject(Kind::kMetricAccess, Object(spec)).isolation_off);
  spec["metricIsolation"] = nullptr;
  EXPECT_FALSE(ReadKubeObject(Kind::kMetricAccess, Object(spec)).isolation_off);
  spec["metricIsolation"] = false;
  EXPECT_TRUE(ReadKubeObject(Kind::kMetricAccess, Object(spec)).isolation_off);
}

TEST(KubeDeclarationTest, NamesTheFieldOfAMetricAccessThatIsWrong) {
  const struct {
    std::string path;
    json value;
    std::string problem;
  } kCases[] = {
      {"/metrics", json::array(), "spec.metrics: must list"},
      {"/metrics", nullptr, "spec.metrics: must list"},
      {"/metrics", "up", "spec.metrics: must be a list"},
      {"/metrics/0", "", "spec.metrics[0]: must have 1 to"},
      {"/metrics/0", 5, "spec.metrics[0]: must be a string"},
      {"/metrics/0", "a\nb", "spec.metrics[0]: must not have control"},
      {"/metrics/0", "a\xff", "spec.metrics[0]: must be valid UTF-8"},
      {"/metrics", json(std::vector<std::string>(1001, "up")),
       "spec.metrics: has 1001 elements"},
      {"/metrics", json(std::vector<std::string>(3, std::string(30000, 'a'))),
       "spec.metrics: has 90000 bytes"},
      {"/metrics/0", "(", "spec.metrics[0]: "},
      {"/metrics/0", "a(b|c", "spec.metrics[0]: "},
      {"/metrics/0", ".*", "spec.metrics[0]: "},
      {"/metrics/0", "{}", "spec.metrics[0]: "},
      {"/metrics/0", "{job=\"a\"", "spec.metrics[0]: "},
      {"/metrics/0", "{job=~\"(\"}", "spec.metrics[0]: "},
      {"/metrics/0", "up{job=\"a\"} or down", "spec.metrics[0]: "},
      {"/metrics/0", "((((a{100}){100}){100}){100})", "spec.metrics[0]: "},
      {"/source", nullptr, "spec.source: must be set: to 'red'"},
      {"/source", "", "spec.source: a tenant id must have 1 to 150"},
      {"/source", "a/b", "spec.source: tenant id"},
      {"/source", "..", "spec.source: tenant id"},
      {"/source", std::string(151, 'a'), "spec.source: a tenant id"},
      {"/metricIsolation", "false",
       "spec.metricIsolation: must be true or false"},
      {"/metricIsolation", 0, "spec.metricIsolation: must be true or false"},
      {"/labelSelectors", json::array({"a"}), "spec.labelSelectors: must be a"},
      {"/labelSelectors",
       {{"__name__", "up"}},
       "spec.labelSelectors[__name__]: must be the name of a label"},
      {"/labelSelectors", {{"a-b", "c"}}, "spec.labelSelectors[a-b]: must be"},
      {"/labelSelectors",
       {{"a", ""}},
       "spec.labelSelectors[a]: must have a value"},
      {"/labelSelectors", {{"a", 1}}, "spec.labelSelectors[a]: must be a str"},
      {"/labelSelectors",
       {{"a", std::string(2049, 'v')}},
       "spec.labelSelectors[a]: must have 0 to 2048"},
      {"/metricisolation", true, "spec.metricisolation: is no field"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(ProblemWith(c.path, c.value), StartsWith(c.problem))
        << c.path << " "
        << c.value.dump(-1, ' ', true, json::error_handler_t::replace);
  }
}

TEST(KubeDeclarationTest, NamesTheFieldOfARemoteWriteThatIsWrong) {
  const json kPrometheus = {{"serviceName", "prometheus"}};
  const auto prometheus = [&](absl::string_view key, const json& value) {
    json push = {{"enabled", true},
                 {"target", {{"type", "prometheus"}}},
                 {"prometheus", kPrometheus}};
    push["prometheus"][std::string(key)] = value;
    return push;
  };
  const auto endpoint = [](absl::string_view key, const json& value) {
    json push = Push();
    push["remoteWrite"][std::string(key)] = value;
    return push;
  };
  const auto relabeling = [](absl::string_view key, const json& value) {
    json push = Push();
    push["metricRelabelings"] = json::array({{{"targetLabel", "a"}}});
    push["metricRelabelings"][0][std::string(key)] = value;
    return push;
  };
  const auto with = [](absl::string_view key, const json& value) {
    json push = Push();
    push[std::string(key)] = value;
    return push;
  };
  const struct {
    json push;
    std::string problem;  // Below spec.remoteWrite.
  } kCases[] = {
      {with("enabled", nullptr), ".enabled: must be set"},
      {with("enabled", "yes"), ".enabled: must be true or false"},
      {with("interval", "1s"), ".interval: must be a duration from 5s to 24h"},
      {with("interval", "25h"), ".interval: must be a duration"},
      {with("interval", "soon"), ".interval: must be a duration"},
      {with("interval", "-30s"), ".interval: must be a duration"},
      {with("target", nullptr), ".target: must be set"},
      {with("target", {{"type", "foo"}}), ".target.type: must be one of"},
      {with("target", json::object()), ".target.type: must be one of"},
      {with("target", {{"type", "prometheus"}}), ".prometheus: must be set"},
      {with("target", {{"type", "pushgateway"}}), ".pushgateway: must be set"},
      {with("remoteWrite", nullptr), ".remoteWrite: must be set"},
      {with("target",
            {{"type", "remote_write"},
             {"remoteWrite", {{"url", "https://other.example.com/"}}}}),
       ".target.remoteWrite: differs from spec.remoteWrite.remoteWrite"},
      {with("queueConfig", json::object()), ".queueConfig: is no field"},
      // Blocks that are not chosen are checked as well.
      {with("pushgateway", {{"serviceName", "p"}}),
       ".pushgateway.jobName: must be set"},
      {with("pushgateway", {{"serviceName", "p"}, {"jobName", "a/../b"}}),
       ".pushgateway.jobName: must be of"},
      {prometheus("serviceName", nullptr),
       ".prometheus.serviceName: must be set"},
      {prometheus("serviceName", "x.victim.svc#"),
       ".prometheus.serviceName: 'x.victim.svc#' is no name"},
      {prometheus("serviceName", "x.victim"), ".prometheus.serviceName: 'x."},
      {prometheus("serviceName", "x/../y"), ".prometheus.serviceName: 'x/"},
      {prometheus("servicePort", 0), ".prometheus.servicePort: must be a who"},
      {prometheus("servicePort", 65536), ".prometheus.servicePort: must be a"},
      {prometheus("servicePort", 90.5), ".prometheus.servicePort: must be a"},
      {prometheus("servicePort", uint64_t{1} << 63),
       ".prometheus.servicePort: must be a"},
      {prometheus("replicas", -1), ".prometheus.replicas: must be a whole"},
      {prometheus("replicas", 100000), ".prometheus.replicas: must be a whole"},
      {prometheus("statefulSetName", "a.b"), ".prometheus.statefulSetName: 'a"},
      {prometheus("targetNamespace", "a b"), ".prometheus.targetNamespace: 'a"},
      {endpoint("url", nullptr), ".remoteWrite.url: must be set"},
      {endpoint("url", "ftp://a.example.com/"), ".remoteWrite.url: is no URL"},
      {endpoint("url", "http://u:p@a.example.com/"), ".remoteWrite.url: is no"},
      {endpoint("url", "http://169.254.169.254/latest"),
       ".remoteWrite.url: must not name '169.254.169.254'"},
      {endpoint("headers", {{"Host", "victim"}}),
       ".remoteWrite.headers[Host]: is a header that only the sender"},
      {endpoint("headers", {{"AUTHORIZATION", "Bearer x"}}),
       ".remoteWrite.headers[AUTHORIZATION]: is a header"},
      {endpoint("headers", {{"transfer_encoding", "chunked"}}),
       ".remoteWrite.headers[transfer_encoding]: is a header"},
      {endpoint("headers", {{"X-Forwarded-For", "1.2.3.4"}}),
       ".remoteWrite.headers[X-Forwarded-For]: is a header"},
      {endpoint("headers", {{"Impersonate-User", "admin"}}),
       ".remoteWrite.headers[Impersonate-User]: is a header"},
      {endpoint("headers", {{"A b", "c"}}),
       ".remoteWrite.headers[A b]: must be the name of a header"},
      {endpoint("headers", {{"A", "b\r\nHost: victim"}}),
       ".remoteWrite.headers[A]: must not have control characters"},
      {endpoint("headers", {{"X-Team", "a"}, {"x-team", "b"}}),
       ".remoteWrite.headers[x-team]: is the same header"},
      {endpoint("basicAuth", {{"username", "a"}}),
       ".remoteWrite.basicAuth.passwordSecret: must be set"},
      {endpoint("basicAuth",
                {{"username", "a:b"},
                 {"passwordSecret", {{"name", "s"}, {"key", "k"}}}}),
       ".remoteWrite.basicAuth.username: must not have a ':'"},
      {endpoint("basicAuth",
                {{"username", "a"},
                 {"passwordSecret",
                  {{"name", "s"}, {"key", "k"}, {"namespace", "victim"}}}}),
       ".remoteWrite.basicAuth.passwordSecret.namespace: must be 'red'"},
      {endpoint("basicAuth",
                {{"username", "a"},
                 {"passwordSecret", {{"name", "../s"}, {"key", "k"}}}}),
       ".remoteWrite.basicAuth.passwordSecret.name: must be the name"},
      {with("extraLabels", {{"__name__", "up"}}),
       ".extraLabels[__name__]: must be the name of a label"},
      {with("honorLabels", 1), ".honorLabels: must be true or false"},
      {with("metricRelabelings", json::object()),
       ".metricRelabelings: must be a list"},
      {relabeling("action", "labelmap"),
       ".metricRelabelings[0].action: must be one of"},
      {relabeling("regex", "("), ".metricRelabelings[0].regex: "},
      {relabeling("regex", "((((a{100}){100}){100}){100})"),
       ".metricRelabelings[0].regex: "},
      {relabeling("targetLabel", nullptr),
       ".metricRelabelings[0].targetLabel: must be set"},
      {relabeling("targetLabel", "${1}"),
       ".metricRelabelings[0].targetLabel: must be the name"},
      {relabeling("sourceLabels", {"a-b"}),
       ".metricRelabelings[0].sourceLabels[0]: must be the name"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(ProblemWith("/remoteWrite", c.push),
                StartsWith(absl::StrCat("spec.remoteWrite", c.problem)));
  }
}

TEST(KubeDeclarationTest, TakesTheTargetBesideAndBelowTarget) {
  const json block = {{"serviceName", "prometheus"},
                      {"targetNamespace", "blue"}};
  for (const auto& [flat, nested] :
       {std::pair(true, false), {false, true}, {true, true}}) {
    json spec = Access();
    spec["remoteWrite"] = {{"enabled", true},
                           {"target", {{"type", "prometheus"}}}};
    if (flat) spec["remoteWrite"]["prometheus"] = block;
    if (nested) spec["remoteWrite"]["target"]["prometheus"] = block;

    const KubeDeclaration read =
        ReadKubeObject(Kind::kMetricAccess, Object(spec));

    EXPECT_THAT(read.problem, IsOk());
    ASSERT_TRUE(read.remote_write.has_value());
    EXPECT_EQ(read.remote_write->target_namespace, "blue");
  }
}

TEST(KubeDeclarationTest, ReadsTheTenantsOfBothKinds) {
  for (const Kind kind :
       {Kind::kOpenMetricsRule, Kind::kMetricsIngestionTenant}) {
    const KubeDeclaration read =
        ReadKubeObject(kind, Object({{"tenants", {"b", "a", ".*", "0"}},
                                     {"description", "two\nlines"}}));
    EXPECT_THAT(read.problem, IsOk());
    EXPECT_THAT(read.tenants, ElementsAre("b", "a", ".*", "0"));
  }
}

TEST(KubeDeclarationTest, ReadsOnlyTheTenantsOfAnOpenMetricsRule) {
  EXPECT_THAT(ReadKubeObject(Kind::kOpenMetricsRule,
                             Object({{"tenants", {"a"}}, {"groups", 5}}))
                  .problem,
              IsOk());
  EXPECT_THAT(ProblemOf(Kind::kMetricsIngestionTenant,
                        Object({{"tenants", {"a"}}, {"groups", 5}})),
              StartsWith("spec.groups: is no field"));
}

TEST(KubeDeclarationTest, NamesTheTenantThatIsWrong) {
  const std::vector<std::pair<json, std::string>> kCases = {
      {nullptr, "spec.tenants: must list at least one"},
      {json::array(), "spec.tenants: must list at least one"},
      {"a", "spec.tenants: must be a list"},
      {{"a", ""}, "spec.tenants[1]: must have 1 to 150"},
      {{"a", "  "}, "spec.tenants[1]: tenant id"},
      {{"a/b"}, "spec.tenants[0]: tenant id"},
      {{"../x"}, "spec.tenants[0]: tenant id"},
      {{".."}, "spec.tenants[0]: tenant id"},
      {{"."}, "spec.tenants[0]: tenant id"},
      {{"a\\b"}, "spec.tenants[0]: tenant id"},
      {{"%2e%2e"}, "spec.tenants[0]: tenant id"},
      {{std::string("a\0b", 3)}, "spec.tenants[0]: must not have control"},
      {{"a|b"}, "spec.tenants[0]: tenant id"},
      {{"a,b"}, "spec.tenants[0]: tenant id"},
      {{"^own$"}, "spec.tenants[0]: tenant id"},
      {{".+"}, "spec.tenants[0]: tenant id"},
      {{"a\r\nb"}, "spec.tenants[0]: must not have control"},
      {{"own\xc3\xa4"}, "spec.tenants[0]: tenant id"},
      {{"own "}, "spec.tenants[0]: tenant id"},
      {{std::string(151, 'a')}, "spec.tenants[0]: must have 1 to 150"},
      {{"__markers__"}, "spec.tenants[0]: tenant id"},
      {{"user-index.json.gz"}, "spec.tenants[0]: tenant id"},
      {{"merged/a"}, "spec.tenants[0]: tenant id"},
      {{"a", "b", "a"}, "spec.tenants[2]: 'a' is listed twice"},
      {{"a", 1}, "spec.tenants[1]: must be a string"},
      {json(std::vector<std::string>(1001, "a")), "spec.tenants: has 1001"},
  };
  for (const auto& [tenants, problem] : kCases) {
    json list = tenants;
    // Braces around one string make a string, not a list.
    if (list.is_string() && problem != "spec.tenants: must be a list") {
      list = json::array({tenants});
    }
    for (const Kind kind :
         {Kind::kOpenMetricsRule, Kind::kMetricsIngestionTenant}) {
      const KubeDeclaration read =
          ReadKubeObject(kind, Object({{"tenants", list}}));
      EXPECT_THAT(ProblemOf(read), StartsWith(problem)) << list.dump();
      EXPECT_THAT(read.tenants, IsEmpty());
    }
  }
}

TEST(KubeDeclarationTest, TellsIdsApartThatOnlyLookAlike) {
  const KubeDeclaration read =
      ReadKubeObject(Kind::kMetricsIngestionTenant,
                     Object({{"tenants", {"own", "Own", "own."}}}));
  EXPECT_THAT(read.problem, IsOk());
  EXPECT_THAT(read.tenants, ElementsAre("own", "Own", "own."));
}

TEST(KubeDeclarationTest, TakesWhateverIsNoObject) {
  for (const json& object :
       {json(), json(5), json::array(), json::object(),
        json{{"metadata", 5}, {"spec", Access()}},
        json{{"metadata", {{"name", 5}, {"generation", "x"}}}}}) {
    EXPECT_FALSE(ReadKubeObject(Kind::kMetricAccess, object).problem.ok())
        << object.dump();
  }
  EXPECT_THAT(ProblemOf(Kind::kMetricAccess, Object(5)),
              StartsWith("spec: must be there"));
  EXPECT_THAT(ProblemOf(Kind::kMetricAccess, Object(Access(), "a/../b")),
              StartsWith("metadata.name: must be a name"));
  EXPECT_THAT(ProblemOf(Kind::kMetricAccess,
                        Object(Access(), absl::StrCat(std::string(63, 'a'), ".",
                                                      std::string(63, 'b'), ".",
                                                      std::string(63, 'c'), ".",
                                                      std::string(61, 'd')))),
              HasSubstr("has 253 bytes, may have 249"));
}

TEST(PushUrlTest, RefusesAddressesThatAreNoReceiver) {
  for (const absl::string_view url : {"http://169.254.169.254/latest/meta-data",
                                      "http://169.254.1.1/",
                                      "http://2852039166/",
                                      "http://0xa9fea9fe/",
                                      "http://169.254.43518/",
                                      "http://0251.0376.0251.0376/",
                                      "http://169.254.169.254./",
                                      "http://0.0.0.0/",
                                      "http://0/",
                                      "http://[::]/",
                                      "http://[fe80::1]/",
                                      "http://[::ffff:169.254.169.254]/",
                                      "http://[::ffff:a9fe:a9fe]/",
                                      "http://[::169.254.169.254]/",
                                      "http://[64:ff9b::a9fe:a9fe]/",
                                      "http://[2002:a9fe:a9fe::]/",
                                      "http://[fd00:ec2::254]/",
                                      "http://100.100.100.200/",
                                      "http://168.63.129.16/",
                                      "http://224.0.0.1/",
                                      "http://255.255.255.255/",
                                      "http://[ff02::1]/",
                                      "http://metadata.google.internal/",
                                      "http://METADATA.google.internal./",
                                      "http://metadata/",
                                      "http://x.metadata.goog/"}) {
    EXPECT_THAT(std::string(CheckPushUrl(url).message()),
                StartsWith("must not name"))
        << url;
  }
  for (const absl::string_view url :
       {"https://a.example.com/x/%2e%2e/y", "https://a.example.com/x%2Fy",
        "https://a.example.com/%252e", "https://a.example.com/%5c"}) {
    EXPECT_THAT(std::string(CheckPushUrl(url).message()),
                StartsWith("must not have %"))
        << url;
  }
  for (const absl::string_view url :
       {"https://metrics.example.com/api/v1/write", "http://10.0.0.1:9090/",
        "http://[2001:db8::1]:9090/x", "http://127.0.0.1:9090/",
        "http://a.b.svc:80/?x=%2e"}) {
    EXPECT_THAT(CheckPushUrl(url), IsOk()) << url;
  }
}

TEST(PushUrlTest, KnowsWhatLiesBelow) {
  constexpr absl::string_view kBase = "https://a.example.com/in";
  for (const absl::string_view url :
       {"https://a.example.com/in", "https://a.example.com/in/x",
        "https://A.example.COM:443/in/x?y=z", "https://a.example.com./in"}) {
    EXPECT_TRUE(IsUrlBelow(url, kBase)) << url;
  }
  for (const absl::string_view url :
       {"http://a.example.com/in", "https://a.example.com/inner",
        "https://a.example.com/", "https://a.example.com:444/in",
        "https://a.example.com.evil.net/in", "https://b.example.com/in",
        "https://a.example.com/IN"}) {
    EXPECT_FALSE(IsUrlBelow(url, kBase)) << url;
  }
  EXPECT_TRUE(IsUrlBelow("https://a.example.com/x", "https://a.example.com"));
  EXPECT_TRUE(IsUrlBelow("https://a.example.com", "https://a.example.com/"));
  EXPECT_TRUE(IsUrlBelow("https://a.example.com?x", "https://a.example.com/"));
  EXPECT_TRUE(IsUrlBelow("http://[::1]:80/x", "http://[::1]"));
}

}  // namespace
}  // namespace insula::tenant_registry
