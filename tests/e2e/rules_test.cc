// Rules of tenants at a real Prometheus, confined, each on its own.

#include "absl/strings/str_replace.h"
#include "tests/e2e/rules_fixture.h"

namespace insula::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using RulesTest = RulesFixture;

// The Prometheus of the rules is also the store of red, blue and viewer.
constexpr char kViewer[] = R"(
---
kind: Upstream
id: store
spec: {query_url: 'http://127.0.0.1:$0', isolation: ISOLATION_LABEL}
---
kind: Tenant
id: viewer
spec:
  enforced_labels: {namespace: viewer}
  rule_target_id: main
  upstream_id: store
  read_scope: READ_SCOPE_ACCESS
)";

TEST_F(RulesTest, ARuleOfRedBecomesActiveAndSeesRedOnly) {
  StartAll();
  SetRules(
      "red", "api.yaml",
      "groups:\n- name: g\n  interval: 200ms\n  rules:\n"
      "  - record: targets:sum\n"
      "    expr: sum without (job, instance) (up or up{namespace='blue'})\n"
      "  - record: escape\n    expr: up{namespace='blue'}\n"
      "  - alert: Up\n    expr: up == 1\n    for: 1h\n"
      "    annotations: {text: '{{ $value | humanize }}'}\n");
  ASSERT_TRUE(Becomes("red", "api.yaml", "g", RuleGroup::STATE_ACTIVE))
      << Find("red", "api.yaml", "g").DebugString();
  const RuleGroup group = Find("red", "api.yaml", "g");
  EXPECT_EQ(group.rules(), 3);
  EXPECT_EQ(group.rule_target_id(), "main");
  EXPECT_GT(group.last_synced_at().seconds(), 0);

  ASSERT_TRUE(WaitUntil([this] { return !Query("targets:sum").empty(); }));
  const nlohmann::json result = Query("targets:sum");
  ASSERT_THAT(result, SizeIs(1));
  EXPECT_EQ(result[0]["metric"]["namespace"], "red");
  EXPECT_EQ(result[0]["value"][1], "1");
  EXPECT_THAT(Query("escape"), IsEmpty());
  ASSERT_TRUE(WaitUntil([this] { return !Query("ALERTS").empty(); }));
  for (const auto& alert : Query("ALERTS")) {
    EXPECT_EQ(alert["metric"]["namespace"], "red");
  }
}

TEST_F(RulesTest, ABadGroupIsReportedAndTheOthersGoOn) {
  StartAll();
  SetRules("red", "api.yaml",
           "groups:\n- name: good\n  rules: [{record: a, expr: up}]\n"
           "- name: bad\n  rules: [{record: b, expr: 'sum('}]\n"
           "- name: foreign\n  rules:\n  - record: c\n    expr: up\n"
           "    labels: {namespace: blue}\n");
  SetRules("blue", "api.yaml",
           "groups:\n- name: good\n  rules: [{record: a, expr: up}]\n");
  EXPECT_TRUE(Becomes("red", "api.yaml", "good", RuleGroup::STATE_ACTIVE));
  EXPECT_TRUE(Becomes("blue", "api.yaml", "good", RuleGroup::STATE_ACTIVE));
  for (const char* name : {"bad", "foreign"}) {
    const RuleGroup group = Find("red", "api.yaml", name);
    EXPECT_EQ(group.state(), RuleGroup::STATE_REFUSED) << name;
    ASSERT_THAT(group.problems(), SizeIs(testing::Ge(1)));
    EXPECT_GT(group.problems(0).line(), 0);
    EXPECT_EQ(group.problems(0).group(), name);
  }
  EXPECT_THAT(Loaded(), SizeIs(2));
}

// Prometheus 2.42 does not know query_offset; told that it is a later one,
// rule-sync takes the file, and only Prometheus can tell.
TEST_F(RulesTest, AFileThatPrometheusRefusesIsRolledBackAlone) {
  StartAll("prometheus-3");
  const std::string good =
      "groups:\n- name: g\n  rules: [{record: a, expr: up}]\n";
  for (const char* file : {"a.yaml", "b.yaml", "c.yaml"}) {
    SetRules("red", file, good);
    ASSERT_TRUE(Becomes("red", file, "g", RuleGroup::STATE_ACTIVE)) << file;
  }
  const auto before = Files();
  ASSERT_THAT(before, SizeIs(3));

  const std::string refused =
      "groups:\n- name: g\n  query_offset: 1m\n"
      "  rules: [{record: a, expr: up}]\n";
  SetRules("red", "b.yaml", refused);
  SetRules("red", "new.yaml", refused);
  ASSERT_TRUE(Becomes("red", "b.yaml", "g", RuleGroup::STATE_FAILED));
  ASSERT_TRUE(Becomes("red", "new.yaml", "g", RuleGroup::STATE_FAILED));
  EXPECT_THAT(Find("red", "b.yaml", "g").last_error(),
              HasSubstr("Prometheus refuses"));
  EXPECT_EQ(Files(), before);
  EXPECT_THAT(Loaded(), SizeIs(3));

  // Others go on meanwhile, and Prometheus is content.
  SetRules("blue", "d.yaml", good);
  EXPECT_TRUE(Becomes("blue", "d.yaml", "g", RuleGroup::STATE_ACTIVE));
  EXPECT_THAT(HttpSend(prometheus_port_, "GET", "/metrics").body,
              HasSubstr("prometheus_config_last_reload_successful 1"));
  SetRules("red", "b.yaml", good + "  interval: 1m\n");
  EXPECT_TRUE(Becomes("red", "b.yaml", "g", RuleGroup::STATE_ACTIVE));
}

TEST_F(RulesTest, ValidateSaysWhatWouldBecomeOfAFile) {
  StartAll();
  const auto validate = [this](const std::string& tenant,
                               const std::string& content,
                               rules_v1::ValidateResponse* response) {
    const auto stub = rules_v1::RuleSync::NewStub(grpc::CreateChannel(
        absl::StrCat("127.0.0.1:", Ports("rule-sync")["grpc"]),
        grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    rules_v1::ValidateRequest request;
    request.set_tenant_id(tenant);
    request.set_content(content);
    return stub->Validate(&context, request, response).error_code();
  };
  rules_v1::ValidateResponse response;
  EXPECT_EQ(validate("red",
                     "groups:\n- name: g\n  rules: [{record: a, expr: up}]\n"
                     "- name: h\n  rules: [{record: a, expr: 'up ='}]\n",
                     &response),
            grpc::StatusCode::OK);
  EXPECT_THAT(response.confined(), HasSubstr(R"(up{namespace=\"red\"})"));
  ASSERT_THAT(response.problems(), SizeIs(1));
  EXPECT_EQ(response.problems(0).group(), "h");
  EXPECT_EQ(response.problems(0).rule(), 1);
  EXPECT_EQ(response.problems(0).line(), 5);

  rules_v1::ValidateResponse unconfined;
  EXPECT_EQ(
      validate("", "groups:\n- name: g\n  rules: [{record: a, expr: up}]\n",
               &unconfined),
      grpc::StatusCode::OK);
  EXPECT_THAT(unconfined.problems(), IsEmpty());
  EXPECT_THAT(unconfined.confined(), HasSubstr("expr: \"up\""));

  EXPECT_EQ(validate("nobody", "groups: []", &response),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(validate("red", std::string((1 << 20) + 1, '#'), &response),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(RulesTest, ATenantOfARulerGetsItsGroupsThere) {
  ruler_.Plant("verdant", "theirs", "name: x\nrules: [{record: a, expr: up}]");
  StartAll();
  SetRules("green", "api.yaml",
           "groups:\n- name: g\n  rules: [{record: a, expr: sum(up)}]\n");
  EXPECT_TRUE(Becomes("green", "api.yaml", "g", RuleGroup::STATE_ACTIVE));
  EXPECT_EQ(ruler_.Find("verdant", {"insula/api", "g"})->rules[0].expr,
            "sum(up)");
  SetRules("green", "api.yaml", "");
  EXPECT_TRUE(WaitUntil([this] {
    return ruler_.Places("verdant") ==
           std::set<rule_sync::FakeRuler::Place>{{"theirs", "x"}};
  }));
}

TEST_F(RulesTest, ASuspendedTenantsRulesStop) {
  StartAll();
  const std::string good =
      "groups:\n- name: g\n  rules: [{record: a, expr: up}]\n";
  SetRules("red", "api.yaml", good);
  SetRules("blue", "api.yaml", good);
  ASSERT_TRUE(Becomes("red", "api.yaml", "g", RuleGroup::STATE_ACTIVE));
  ASSERT_TRUE(Becomes("blue", "api.yaml", "g", RuleGroup::STATE_ACTIVE));
  std::string resources =
      absl::Substitute(kResources, prometheus_port_, ruler_.url());
  const std::string line = "spec: {enforced_labels: {namespace: red}, ";
  const size_t at = resources.find(line);
  ASSERT_NE(at, resources.npos);
  resources.insert(at + line.size(), "state: STATE_SUSPENDED, ");
  dir_.Write("tenants.yaml", resources);
  EXPECT_TRUE(WaitUntil([this] { return Loaded().size() == 1; }));
  EXPECT_THAT(Files(), SizeIs(1));
  EXPECT_TRUE(Becomes("red", "api.yaml", "", RuleGroup::STATE_REFUSED));
}

// `viewer` reads what it was granted, and so do its rules.
TEST_F(RulesTest, RulesReadWhatAnAccessGrantsUntilItEnds) {
  StartAll();
  SetRules("viewer", "api.yaml",
           "groups:\n- name: g\n  interval: 200ms\n  rules:\n"
           "  - {record: ups, expr: sum(up)}\n"
           "  - {record: builds, expr: count(prometheus_build_info)}\n");
  const auto resources = [this](absl::string_view accesses) {
    const std::string stored = absl::StrReplaceAll(
        absl::Substitute(kResources, prometheus_port_, ruler_.url()),
        {{"rule_target_id: main}",
          "rule_target_id: main, upstream_id: store}"}});
    dir_.Write("tenants.yaml",
               absl::StrCat(stored, absl::Substitute(kViewer, prometheus_port_),
                            accesses));
  };
  resources("");
  ASSERT_TRUE(Becomes("viewer", "api.yaml", "", RuleGroup::STATE_REFUSED));
  EXPECT_THAT(Files(), IsEmpty());

  const std::string up = R"(
---
kind: Access
id: up
spec: {tenant_id: viewer, source_tenant_ids: [red, blue], selectors: [up]}
)";
  const std::string builds = R"(
---
kind: Access
id: builds
spec: {tenant_id: viewer, source_tenant_ids: [blue], selectors: ['{version!=""}']}
)";
  resources(up + builds);
  ASSERT_TRUE(Becomes("viewer", "api.yaml", "g", RuleGroup::STATE_ACTIVE))
      << Find("viewer", "api.yaml", "g").DebugString();
  const auto value = [this](const std::string& name) {
    const nlohmann::json result = Query(name + "{namespace=\"viewer\"}");
    return result.size() == 1 ? result[0]["value"][1].get<std::string>() : "";
  };
  EXPECT_TRUE(WaitUntil([&] { return value("ups") == "2"; })) << value("ups");
  EXPECT_TRUE(WaitUntil([&] { return value("builds") == "1"; }))
      << value("builds");

  // The file stays, with less to read.
  resources(builds);
  EXPECT_TRUE(WaitUntil([&] { return value("ups").empty(); })) << value("ups");
  EXPECT_EQ(value("builds"), "1");
  EXPECT_THAT(Files(), SizeIs(1));

  resources("");
  EXPECT_TRUE(WaitUntil([this] { return Loaded().empty(); }));
  EXPECT_THAT(Files(), IsEmpty());
}

}  // namespace
}  // namespace insula::e2e
