#include "services/tenant_registry/kube_plan.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"
#include "libs/tenancy/snapshot.h"

namespace insula::tenant_registry {
namespace {

using nlohmann::json;
using Kind = KubeDeclaration::Kind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

KubeDeclaration Read(Kind kind, absl::string_view name, const json& spec) {
  const size_t slash = name.find('/');
  const json object = {{"metadata",
                        {{"namespace", std::string(name.substr(0, slash))},
                         {"name", std::string(name.substr(slash + 1))},
                         {"uid", std::string(name)},
                         {"generation", 1}}},
                       {"spec", spec}};
  return ReadKubeObject(kind, object);
}

// A MetricAccess that grants `up` of its own namespace, with `more` in its
// spec.
KubeDeclaration Access(absl::string_view name,
                       const json& more = json::object(),
                       absl::string_view metric = "up") {
  json spec = {{"metrics", {std::string(metric)}},
               {"source", std::string(name.substr(0, name.find('/')))}};
  spec.update(more);
  return Read(Kind::kMetricAccess, name, spec);
}

KubeDeclaration Tenants(absl::string_view name, std::vector<std::string> ids,
                        Kind kind = Kind::kOpenMetricsRule) {
  return Read(kind, name, {{"tenants", ids}});
}

v1::Policy Policy(absl::string_view text) {
  v1::Policy policy;
  EXPECT_TRUE(
      google::protobuf::TextFormat::ParseFromString(std::string(text), &policy))
      << text;
  return policy;
}

class Plan {
 public:
  Plan(std::vector<KubeDeclaration> declarations,
       const std::vector<v1::Policy>& policies = {},
       const std::vector<v1::Object>& others = {}) {
    std::vector<const KubeDeclaration*> pointers;
    for (const KubeDeclaration& d : declarations) pointers.push_back(&d);
    std::vector<const v1::Policy*> policy_pointers;
    for (const v1::Policy& p : policies) policy_pointers.push_back(&p);
    std::vector<const v1::Object*> other_pointers;
    for (const v1::Object& o : others) other_pointers.push_back(&o);
    plan_ = PlanKubeObjects(pointers, policy_pointers, other_pointers);
    EXPECT_EQ(plan_.verdicts.size(), declarations.size());
    for (const v1::Object& object : plan_.objects) {
      EXPECT_THAT(tenancy::CheckObject(object), IsOk());
    }
  }

  std::vector<std::string> ids() const {
    std::vector<std::string> ids;
    for (const v1::Object& object : plan_.objects) {
      ids.push_back(Name(KeyOf(object)));
    }
    return ids;
  }
  const v1::Object& object(size_t i) const { return plan_.objects.at(i); }
  const std::vector<v1::Object>& objects() const { return plan_.objects; }
  const KubeVerdict& verdict(size_t i) const { return plan_.verdicts.at(i); }

  // "TYPE=STATUS REASON: MESSAGE", "" without such a condition.
  std::string condition(size_t i, absl::string_view type) const {
    for (const KubeCondition& c : verdict(i).conditions) {
      if (c.type == type) {
        return absl::StrCat(c.type, "=", c.status, " ", c.reason, ": ",
                            c.message);
      }
    }
    return "";
  }
  std::string accepted(size_t i = 0) const { return condition(i, "Accepted"); }

 private:
  KubePlan plan_;
};

TEST(KubePlanTest, AMetricAccessMakesATenantAndAnAccess) {
  const Plan plan({Access("red/web", {{"labelSelectors", {{"env", "prod"}}}})},
                  {Policy(R"(namespaces: "red" upstream_id: "store"
                             limits_id: "small" rule_target_id: "ruler"
                             enforced_label: "namespace")")});

  ASSERT_THAT(plan.ids(), ElementsAre("Tenant/red", "Access/red/web"));
  const v1::Tenant& tenant = plan.object(0).tenant();
  EXPECT_EQ(tenant.upstream_id(), "store");
  EXPECT_EQ(tenant.limits_id(), "small");
  EXPECT_EQ(tenant.rule_target_id(), "ruler");
  EXPECT_EQ(tenant.enforced_labels().at("namespace"), "red");
  EXPECT_EQ(tenant.read_scope(), v1::Tenant::READ_SCOPE_ACCESS);
  EXPECT_EQ(tenant.state(), v1::Tenant::STATE_UNSPECIFIED);
  const v1::Access& access = plan.object(1).access();
  EXPECT_EQ(access.tenant_id(), "red");
  EXPECT_THAT(access.selectors(), ElementsAre("up"));
  EXPECT_THAT(access.source_tenant_ids(), ElementsAre("red"));
  EXPECT_EQ(access.label_selectors().at("env"), "prod");
  EXPECT_FALSE(access.every_source());
  EXPECT_TRUE(plan.verdict(0).accepted);
  EXPECT_THAT(plan.verdict(0).validated_metrics, ElementsAre("up"));
  EXPECT_THAT(plan.verdict(0).tenant_ids, ElementsAre("red"));
  EXPECT_EQ(plan.verdict(0).access_id, "red/web");
  EXPECT_EQ(plan.accepted(),
            "Accepted=True Accepted: grants tenant red 1 pattern");
  EXPECT_THAT(plan.condition(0, "TenantReady"), StartsWith("TenantReady=True"));
  EXPECT_EQ(plan.condition(0, "RemoteWrite"), "");
}

TEST(KubePlanTest, SeveralMetricAccessesOfANamespaceAreOneTenant) {
  const Plan plan({Access("red/b", json::object(), "b_total"),
                   Access("red/a", json::object(), "a_total")});

  EXPECT_THAT(plan.ids(),
              ElementsAre("Tenant/red", "Access/red/a", "Access/red/b"));
  EXPECT_THAT(plan.object(1).access().selectors(), ElementsAre("a_total"));
}

TEST(KubePlanTest, WithoutAPolicyATenantHasNoStoreAndTheStatusSaysSo) {
  const Plan plan({Access("red/web")});

  EXPECT_TRUE(plan.verdict(0).accepted);
  EXPECT_THAT(plan.condition(0, "TenantReady"),
              StartsWith("TenantReady=False NoUpstream: no store"));
  EXPECT_THAT(plan.object(0).tenant().upstream_id(), IsEmpty());
}

TEST(KubePlanTest, SeveralNamespacesMayShareATenant) {
  const Plan plan(
      {Access("red/web"), Access("blue/web", {{"source", "shop"}})},
      {Policy(R"(namespaces: "red" namespaces: "blue" tenant_id: "shop"
                 enforced_label: "team" upstream_id: "store")")});

  ASSERT_THAT(plan.ids(),
              ElementsAre("Tenant/shop", "Access/blue/web", "Access/red/web"));
  EXPECT_EQ(plan.object(0).tenant().enforced_labels().at("team"), "shop");
  // The namespace's name stands for its tenant, not for one of that name.
  EXPECT_THAT(plan.object(2).access().source_tenant_ids(), ElementsAre("shop"));
  EXPECT_EQ(plan.object(2).access().tenant_id(), "shop");
}

TEST(KubePlanTest, APolicyOfTheNameIsStrongerThanThatOfAllOthers) {
  const std::vector<v1::Policy> policies = {
      Policy(R"(namespaces: "*" upstream_id: "big" every_tenant: true)"),
      Policy(R"(namespaces: "red" upstream_id: "small")")};
  const Plan plan({Tenants("red/a", {"red"}), Tenants("blue/a", {"green"}),
                   Tenants("red/b", {"white"})},
                  policies);

  EXPECT_THAT(plan.ids(), ElementsAre("Tenant/green", "Tenant/red"));
  EXPECT_EQ(plan.object(0).tenant().upstream_id(), "big");
  EXPECT_EQ(plan.object(1).tenant().upstream_id(), "small");
  EXPECT_THAT(plan.accepted(2), StartsWith("Accepted=False Forbidden"));
}

TEST(KubePlanTest, BothKindsDeclareTheTenantsThatTheyList) {
  const Plan plan(
      {Tenants("ops/a", {"ops", "tnt1"}),
       Tenants("ops/b", {"tnt2", "tnt1"}, Kind::kMetricsIngestionTenant)},
      {Policy(R"(namespaces: "ops" tenant_ids: "tnt1"
                             tenant_ids: "tnt2" upstream_id: "store")")});

  EXPECT_THAT(plan.ids(),
              ElementsAre("Tenant/ops", "Tenant/tnt1", "Tenant/tnt2"));
  EXPECT_EQ(plan.object(1).tenant().read_scope(), v1::Tenant::READ_SCOPE_OWN);
  EXPECT_THAT(plan.verdict(1).tenant_ids, ElementsAre("tnt1", "tnt2"));
  EXPECT_EQ(plan.accepted(1), "Accepted=True Accepted: declares 2 tenants");
}

TEST(KubePlanTest, ATenantWithAMetricAccessReadsNothingElse) {
  const KubeDeclaration list = Tenants("red/list", {"red"});
  const KubeDeclaration bad = Access("red/web", {{"source", "a/b"}});
  const KubeDeclaration foreign = Access("red/web", {{"source", "blue"}});
  ASSERT_FALSE(bad.problem.ok());
  for (const KubeDeclaration& access : {Access("red/web"), bad, foreign}) {
    const Plan plan({list, access});
    EXPECT_EQ(plan.ids().front(), "Tenant/red");
    EXPECT_EQ(plan.object(0).tenant().read_scope(),
              v1::Tenant::READ_SCOPE_ACCESS);
  }
}

// What an object of a namespace may not say, and what allows it.
TEST(KubePlanTest, ForbidsWhatNoPolicyGrants) {
  const auto push = [](absl::string_view text) {
    return json{{"remoteWrite", json::parse(std::string(text))}};
  };
  const json to_namespace = push(R"({
      "enabled": true, "target": {"type": "prometheus"},
      "prometheus": {"serviceName": "prometheus", "targetNamespace": "blue"}})");
  const json to_url = push(R"({
      "enabled": true, "target": {"type": "remote_write"},
      "remoteWrite": {"url": "https://metrics.example.com/api/v1/write"}})");
  const json to_local = push(R"({
      "enabled": true, "target": {"type": "remote_write"},
      "remoteWrite": {"url": "http://localhost:8080/"}})");
  const json as_other = push(R"({
      "enabled": true, "target": {"type": "remote_write"},
      "remoteWrite": {"url": "https://metrics.example.com/api/v1/write",
                      "headers": {"x-scope-orgid": "blue"}}})");
  const struct {
    KubeDeclaration declaration;
    std::string field;
    std::string grant;
  } kCases[] = {
      {Tenants("red/a", {"red", "blue"}), "spec.tenants[1]",
       R"(tenant_ids: "blue")"},
      {Tenants("red/a", {"blue"}, Kind::kMetricsIngestionTenant),
       "spec.tenants[0]", "every_tenant: true"},
      {Access("red/a", {{"source", "blue"}}), "spec.source",
       R"(source_tenant_ids: "blue")"},
      {Access("red/a", {{"source", "blue"}}), "spec.source",
       "every_source: true"},
      {Access("red/a", {{"labelSelectors", {{"namespace", "blue"}}}}),
       "spec.labelSelectors[namespace]", R"(source_tenant_ids: "blue")"},
      {Access("red/a", {{"metricIsolation", false}}), "spec.metricIsolation",
       "every_source: true"},
      {Access("red/a", {{"metricIsolation", false}}, ".+"),
       "spec.metricIsolation", "every_source: true"},
      {Access("red/a", to_namespace),
       "spec.remoteWrite.prometheus.targetNamespace",
       R"(target_namespaces: "blue")"},
      {Access("red/a", to_url), "spec.remoteWrite.remoteWrite.url",
       R"(target_urls: "https://metrics.example.com")"},
      {Access("red/a", to_local), "spec.remoteWrite.remoteWrite.url",
       R"(target_urls: "http://localhost:8080/")"},
  };
  for (const auto& c : kCases) {
    const std::string forbidden =
        absl::StrCat("Accepted=False Forbidden: ", c.field, ": ");
    const Plan without({c.declaration});
    EXPECT_THAT(without.accepted(), StartsWith(forbidden));
    EXPECT_THAT(without.ids(), IsEmpty()) << c.field;
    EXPECT_THAT(without.verdict(0).tenant_ids, IsEmpty());
    EXPECT_THAT(without.condition(0, "TenantReady"),
                StartsWith("TenantReady=False NotAccepted"));
    const Plan empty({c.declaration}, {Policy(R"(namespaces: "red")")});
    EXPECT_THAT(empty.accepted(), StartsWith(forbidden));
    const Plan of_another(
        {c.declaration},
        {Policy(absl::StrCat(R"(namespaces: "green" )", c.grant))});
    EXPECT_THAT(of_another.accepted(), StartsWith(forbidden));
    const Plan granted(
        {c.declaration},
        {Policy(absl::StrCat(R"(namespaces: "red" )", c.grant))});
    EXPECT_THAT(granted.accepted(), StartsWith("Accepted=True")) << c.grant;
  }
  const Plan as(
      {Access("red/a", as_other)},
      {Policy(R"(namespaces: "red" every_source: true every_tenant: true
                 target_urls: "https://metrics.example.com")")});
  EXPECT_THAT(as.accepted(),
              StartsWith("Accepted=False Forbidden: spec.remoteWrite."
                         "remoteWrite.headers[x-scope-orgid]: may not name"));
}

TEST(KubePlanTest, TheOwnNamespaceNeedsNoGrant) {
  const Plan plan(
      {Access("red/a", json::parse(R"({"labelSelectors": {"namespace": "red"},
        "metricIsolation": true,
        "remoteWrite": {"enabled": true, "target": {"type": "prometheus"},
          "prometheus": {"serviceName": "p", "targetNamespace": "red"}}})"))});
  EXPECT_THAT(plan.accepted(), StartsWith("Accepted=True"));
}

TEST(KubePlanTest, IsolationOffReadsEveryTenant) {
  const Plan plan({Access("red/a", {{"metricIsolation", false}})},
                  {Policy(R"(namespaces: "red" every_source: true)")});

  const v1::Access& access = plan.object(1).access();
  EXPECT_TRUE(access.every_source());
  EXPECT_THAT(access.source_tenant_ids(), IsEmpty());
  EXPECT_THAT(plan.accepted(), HasSubstr("of the series of every tenant"));
}

TEST(KubePlanTest, EverySourceAloneGrantsOnlyWhatIsAskedFor) {
  const Plan plan({Access("red/a"), Access("red/b", {{"source", "blue"}})},
                  {Policy(R"(namespaces: "red" every_source: true)")});

  EXPECT_THAT(plan.object(1).access().source_tenant_ids(), ElementsAre("red"));
  EXPECT_THAT(plan.object(2).access().source_tenant_ids(), ElementsAre("blue"));
}

TEST(KubePlanTest, AnEnforcedLabelOfAnotherTenantIsForbidden) {
  const Plan plan({Access("red/a", {{"labelSelectors", {{"team", "blue"}}}})},
                  {Policy(R"(namespaces: "*" enforced_label: "team")")});
  EXPECT_THAT(
      plan.accepted(),
      StartsWith("Accepted=False Forbidden: spec.labelSelectors[team]"));
}

TEST(KubePlanTest, ReservedIdsAreForThoseThatAPolicyNames) {
  for (const std::string id : {"0", "default-tenant", "internal-collection"}) {
    for (const KubeDeclaration& declaration :
         {Access(absl::StrCat(id, "/a")),
          Tenants(absl::StrCat(id, "/a"), {id})}) {
      EXPECT_THAT(
          Plan({declaration}).accepted(),
          HasSubstr(absl::StrCat("the tenant id '", id, "' is reserved")));
      const std::string names = absl::StrCat("namespaces: \"", id, "\" ");
      EXPECT_THAT(Plan({declaration}, {Policy(names)}).accepted(),
                  StartsWith("Accepted=False Forbidden"));
      EXPECT_THAT(
          Plan({declaration},
               {Policy(absl::StrCat(names, "tenant_ids: \"", id, "\""))})
              .accepted(),
          StartsWith("Accepted=True"));
    }
  }
}

TEST(KubePlanTest, AWrongObjectDeclaresNothing) {
  const Plan plan({Access("red/a", {{"metrics", json::array()}}),
                   Tenants("red/b", {"red", "a/b"})});

  EXPECT_THAT(plan.ids(), IsEmpty());
  EXPECT_THAT(plan.accepted(0),
              StartsWith("Accepted=False Invalid: spec.metrics: must list"));
  EXPECT_THAT(plan.accepted(1),
              StartsWith("Accepted=False Invalid: spec.tenants[1]: "));
}

TEST(KubePlanTest, AnObjectThatBecameWrongKeepsWhatItSaid) {
  KubeDeclaration wrong = Access("red/a", {{"metrics", json::array()}});
  wrong.former = std::make_shared<KubeDeclaration>(Access("red/a"));

  const Plan plan({wrong});

  EXPECT_THAT(plan.ids(), ElementsAre("Tenant/red", "Access/red/a"));
  EXPECT_FALSE(plan.verdict(0).accepted);
  EXPECT_THAT(plan.verdict(0).tenant_ids, ElementsAre("red"));
  EXPECT_THAT(plan.accepted(),
              StartsWith("Accepted=False Invalid: spec.metrics: must list"));
  EXPECT_THAT(plan.accepted(), HasSubstr("generation 1 said stays in effect"));
}

TEST(KubePlanTest, WhatItSaidIsForbiddenLikeAnythingElse) {
  KubeDeclaration wrong = Access("red/a", {{"metrics", json::array()}});
  wrong.former =
      std::make_shared<KubeDeclaration>(Access("red/a", {{"source", "blue"}}));

  EXPECT_THAT(Plan({wrong}).ids(), IsEmpty());
  EXPECT_THAT(
      Plan({wrong}, {Policy(R"(namespaces: "red" source_tenant_ids: "blue")")})
          .ids(),
      ElementsAre("Tenant/red", "Access/red/a"));
}

TEST(KubePlanTest, AnObjectThatIsForbiddenNowKeepsNothing) {
  KubeDeclaration foreign = Access("red/a", {{"source", "blue"}});
  foreign.former = std::make_shared<KubeDeclaration>(Access("red/a"));

  EXPECT_THAT(Plan({foreign}).ids(), IsEmpty());
}

TEST(KubePlanTest, TheFirstByNameDeclaresATenantAndOthersConflict) {
  const std::vector<v1::Policy> policies = {
      Policy(R"(namespaces: "a" upstream_id: "one" tenant_ids: "shop")"),
      Policy(R"(namespaces: "b" upstream_id: "two" tenant_ids: "shop"
                tenant_ids: "more")")};
  std::vector<KubeDeclaration> declarations = {
      Tenants("b/list", {"more", "shop"}), Tenants("b/own", {"b"}),
      Tenants("a/list", {"shop"})};

  const Plan plan(declarations, policies);

  EXPECT_THAT(plan.ids(), ElementsAre("Tenant/b", "Tenant/shop"));
  EXPECT_EQ(plan.object(1).tenant().upstream_id(), "one");
  EXPECT_THAT(plan.accepted(0),
              StartsWith("Accepted=False Conflict: tenant 'shop' is declared "
                         "by OpenMetricsRule a/list"));
  EXPECT_THAT(plan.accepted(1), StartsWith("Accepted=True"));
  EXPECT_THAT(plan.accepted(2), StartsWith("Accepted=True"));
}

TEST(KubePlanTest, AMetricAccessInConflictGrantsNothing) {
  const Plan plan(
      {Access("red/web"), Tenants("ops/list", {"red"})},
      {Policy(R"(namespaces: "ops" upstream_id: "one" every_tenant: true)"),
       Policy(R"(namespaces: "red" upstream_id: "two")")});

  ASSERT_THAT(plan.ids(), ElementsAre("Tenant/red"));
  EXPECT_EQ(plan.object(0).tenant().upstream_id(), "one");
  EXPECT_EQ(plan.object(0).tenant().read_scope(),
            v1::Tenant::READ_SCOPE_ACCESS);
  EXPECT_THAT(plan.accepted(0), StartsWith("Accepted=False Conflict"));
}

TEST(KubePlanTest, TheOrderOfTheInputMakesNoDifference) {
  const std::vector<v1::Policy> policies = {
      Policy(R"(namespaces: "a" upstream_id: "one" every_tenant: true)"),
      Policy(R"(namespaces: "*" upstream_id: "two" every_tenant: true)")};
  std::vector<KubeDeclaration> declarations = {
      Tenants("a/x", {"p", "q"}), Tenants("b/x", {"q", "r"}),
      Tenants("c/x", {"r", "s"}), Access("s/x"), Access("p/x")};
  const Plan expected(declarations, policies);
  const auto place = [](const KubeDeclaration& d) { return d.name_space; };
  std::sort(declarations.begin(), declarations.end(),
            [&](const auto& a, const auto& b) { return place(a) < place(b); });
  int orders = 0;
  do {
    const Plan plan(declarations, policies);
    ASSERT_EQ(plan.ids(), expected.ids());
    for (size_t i = 0; i < plan.objects().size(); ++i) {
      ASSERT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
          plan.object(i), expected.object(i)));
    }
    ++orders;
  } while (std::next_permutation(
      declarations.begin(), declarations.end(),
      [&](const auto& a, const auto& b) { return place(a) < place(b); }));
  EXPECT_EQ(orders, 120);
}

TEST(KubePlanTest, TenantsOfOtherSourcesStayTheirs) {
  v1::Object red;
  red.mutable_meta()->set_kind(v1::KIND_TENANT);
  red.mutable_meta()->set_id("red");
  red.mutable_tenant()->set_upstream_id("theirs");

  const Plan plan({Access("red/web")}, {}, {red});

  EXPECT_THAT(plan.ids(), ElementsAre("Access/red/web"));
  EXPECT_THAT(plan.verdict(0).tenant_ids, ElementsAre("red"));
  EXPECT_THAT(plan.condition(0, "TenantReady"), StartsWith("TenantReady=True"));
}

TEST(KubePlanTest, SaysWhatBecomesOfARemoteWrite) {
  const json on = {{"remoteWrite",
                    {{"enabled", true},
                     {"target", {{"type", "prometheus"}}},
                     {"prometheus", {{"serviceName", "prometheus"}}}}}};
  const json off = {{"remoteWrite", {{"enabled", false}}}};
  json forbidden = on;
  forbidden["source"] = "blue";
  const Plan plan(
      {Access("red/a", on), Access("red/b", off), Access("red/c", forbidden)});

  EXPECT_THAT(plan.condition(0, "RemoteWrite"),
              StartsWith("RemoteWrite=False NotSupported"));
  EXPECT_THAT(plan.condition(1, "RemoteWrite"),
              StartsWith("RemoteWrite=False Disabled"));
  EXPECT_THAT(plan.condition(2, "RemoteWrite"),
              StartsWith("RemoteWrite=False NotAccepted"));
}

}  // namespace
}  // namespace insula::tenant_registry
