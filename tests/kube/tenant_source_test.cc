// What Kubernetes objects do to the registry, and what is said of them.
#include <string>
#include <vector>

#include "tests/kube/tenant_source_fixture.h"

namespace insula::tenant_registry {
namespace {

using e2e::WaitUntil;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

class TenantSourceTest : public TenantSourceFixture {
 protected:
  v1::Object Store() {
    v1::Object store = New(v1::KIND_UPSTREAM, "store");
    store.mutable_upstream()->set_query_url("http://127.0.0.1:9");
    store.mutable_upstream()->set_isolation(v1::Upstream::ISOLATION_LABEL);
    return store;
  }
  v1::Object BindingOf(const std::string& tenant) {
    v1::Object binding = New(v1::KIND_BINDING, tenant + "-team");
    binding.mutable_binding()->set_token_sha256(std::string(32, 'x'));
    binding.mutable_binding()->add_tenant_ids(tenant);
    binding.mutable_binding()->add_roles(v1::ROLE_READ);
    return binding;
  }
};

constexpr char kWebAccess[] =
    R"({source: team-web, metricIsolation: true, metrics: [http_requests_total,
    "http_.*", '{job="my-app"}'], labelSelectors: {environment: production}})";

TEST_F(TenantSourceTest, ObjectsBecomeTenantsAndGrantsUntilTheyAreDeleted) {
  Begin();
  v1::Object web = PolicyOf({"team-web"}, {}, "web");
  web.mutable_policy()->set_upstream_id("store");
  web.mutable_policy()->set_enforced_label("namespace");
  ASSERT_THAT(
      Apply({Store(), web,
             PolicyOf({"open-metrics"}, {"backoffice", "frontend", "tnt2"})}),
      IsOk());
  Create(kAccesses, "team-web", "web-access", kWebAccess);
  Follow();
  ASSERT_TRUE(Become({"team-web"}));
  const ObjectPtr tenant = Find(v1::KIND_TENANT, "team-web");
  EXPECT_EQ(tenant->tenant().upstream_id(), "store");
  EXPECT_EQ(tenant->tenant().read_scope(), v1::Tenant::READ_SCOPE_ACCESS);
  EXPECT_EQ(tenant->tenant().enforced_labels().at("namespace"), "team-web");
  ASSERT_TRUE(WaitUntil(
      [&] { return Find(v1::KIND_ACCESS, "team-web/web-access") != nullptr; }));
  const ObjectPtr access = Find(v1::KIND_ACCESS, "team-web/web-access");
  EXPECT_EQ(access->access().tenant_id(), "team-web");
  EXPECT_EQ(access->access().selectors_size(), 3);

  Create(kRules, "open-metrics", "shop", "{tenants: [backoffice, frontend]}");
  Create(kTenants, "open-metrics", "allowed", "{tenants: [tnt2]}");
  EXPECT_TRUE(Become({"team-web", "backoffice", "frontend", "tnt2"}));

  Delete(kTenants, "open-metrics", "allowed");
  EXPECT_TRUE(Become({"team-web", "backoffice", "frontend"}));
  Replace(kRules, "open-metrics", "shop", R"({"tenants": ["frontend"]})");
  EXPECT_TRUE(Become({"team-web", "frontend"}));
  Delete(kRules, "open-metrics", "shop");
  Delete(kAccesses, "team-web", "web-access");
  EXPECT_TRUE(Become({}));
  EXPECT_THAT(Ids(v1::KIND_ACCESS), IsEmpty());
}

TEST_F(TenantSourceTest, ATenantThatIsMadeAgainIsAnotherOne) {
  Begin();
  Follow();
  Create(kTenants, "blue", "it", "{tenants: [blue]}");
  ASSERT_TRUE(Become({"blue"}));
  ASSERT_THAT(Apply({BindingOf("blue")}), IsOk());
  const std::string first = UidOf("blue");

  // The binding of another source is no reason to keep it, and does not come
  // back with it.
  Delete(kTenants, "blue", "it");
  EXPECT_TRUE(Become({}));
  EXPECT_EQ(Find(v1::KIND_BINDING, "blue-team"), nullptr);
  Create(kTenants, "blue", "it", "{tenants: [blue]}");
  ASSERT_TRUE(Become({"blue"}));
  const std::string second = UidOf("blue");
  EXPECT_NE(second, first);

  // Also if it was never seen to be away.
  ASSERT_THAT(Apply({BindingOf("blue")}), IsOk());
  proxy_->Cut();
  Delete(kTenants, "blue", "it");
  Create(kTenants, "blue", "it", "{tenants: [blue]}");
  proxy_->Resume();
  EXPECT_TRUE(WaitUntil([&] {
    const std::string uid = UidOf("blue");
    return !uid.empty() && uid != second;
  }));
  EXPECT_EQ(Find(v1::KIND_BINDING, "blue-team"), nullptr);
}

TEST_F(TenantSourceTest, ATenantLivesAsLongAsOneObjectDeclaresIt) {
  Begin();
  Follow();
  Create(kTenants, "blue", "one", "{tenants: [blue]}");
  ASSERT_TRUE(Become({"blue"}));
  const std::string uid = UidOf("blue");
  Create(kRules, "blue", "two", "{tenants: [blue]}");
  ASSERT_TRUE(IsSaid(kRules, "blue", "two", "Accepted"));
  Delete(kTenants, "blue", "one");
  Create(kTenants, "red", "one", "{tenants: [red]}");
  ASSERT_TRUE(Become({"blue", "red"}));  // The deletion came before.
  EXPECT_EQ(UidOf("blue"), uid);
  Delete(kRules, "blue", "two");
  EXPECT_TRUE(Become({"red"}));
}

TEST_F(TenantSourceTest, SaysInTheStatusWhatBecameOfAnObject) {
  Begin();
  Create(kAccesses, "team-web", "web-access", kWebAccess);
  Follow();
  ASSERT_TRUE(IsSaid(kAccesses, "team-web", "web-access", "Accepted"));
  const std::string path = PathOf(kAccesses, "team-web", "web-access");
  const std::string yaml =
      api_->Send("GET", path, "", "", "application/yaml").body;
  const nlohmann::json before = Get(kAccesses, "team-web", "web-access");
  const nlohmann::json& status = before["status"];
  EXPECT_EQ(status["observedGeneration"], 1) << yaml;
  EXPECT_EQ(status["validatedMetrics"].size(), 3u);
  EXPECT_TRUE(status.contains("lastUpdated"));
  const nlohmann::json accepted =
      Condition(kAccesses, "team-web", "web-access");
  EXPECT_EQ(accepted["status"], "True");
  EXPECT_EQ(accepted["observedGeneration"], 1);

  // Nothing new: nothing is written, also when something else of the object
  // changes.
  const e2e::HttpAnswer labelled =
      Send("PATCH", path, R"({"metadata": {"labels": {"a": "b"}}})",
           "application/merge-patch+json");
  const auto after = nlohmann::json::parse(labelled.body);
  Create(kTenants, "blue", "it", "{tenants: [blue]}");
  ASSERT_TRUE(IsSaid(kTenants, "blue", "it", "Accepted"));
  EXPECT_EQ(
      Get(kAccesses, "team-web", "web-access")["metadata"]["resourceVersion"],
      after["metadata"]["resourceVersion"]);

  // It stays the same condition while it is true, and is of the new
  // generation.
  Replace(kAccesses, "team-web", "web-access", R"({"metrics": ["up"]})");
  ASSERT_TRUE(WaitUntil([&] {
    return Condition(kAccesses, "team-web", "web-access")
               .value("observedGeneration", 0) == 2;
  }));
  const nlohmann::json later = Condition(kAccesses, "team-web", "web-access");
  EXPECT_EQ(later["lastTransitionTime"], accepted["lastTransitionTime"]);

  Replace(kAccesses, "team-web", "web-access", R"({"source": "team-api"})");
  ASSERT_TRUE(IsSaid(kAccesses, "team-web", "web-access", "Forbidden"));
  EXPECT_THAT(Condition(kAccesses, "team-web", "web-access")["message"],
              HasSubstr("spec.source"));
}

TEST_F(TenantSourceTest, LeavesTheConditionsOfOthersAlone) {
  Begin();
  Create(kRules, "blue", "shop", "{tenants: [blue]}");
  const std::string patch = R"({"apiVersion": "open-metrics.vgs.io/v1",
      "kind": "OpenMetricsRule", "metadata": {"name": "shop"},
      "status": {"ruler_updated": true, "conditions": [{"type": "Synced",
        "status": "True", "reason": "Synced", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})";
  ASSERT_EQ(Send("PATCH",
                 PathOf(kRules, "blue", "shop") +
                     "/status?fieldManager=insula-rule-sync&force=true",
                 patch, "application/apply-patch+yaml")
                .status,
            200);
  Follow();
  ASSERT_TRUE(IsSaid(kRules, "blue", "shop", "Accepted"));
  EXPECT_EQ(Condition(kRules, "blue", "shop", "Synced")["status"], "True");
  EXPECT_EQ(Get(kRules, "blue", "shop")["status"]["ruler_updated"], true);
}

TEST_F(TenantSourceTest, FollowsAllNamespacesOrSome) {
  Begin();
  for (const char* name : {"blue", "red", "green"}) {
    Create(kTenants, name, "it", absl::StrCat("{tenants: [", name, "]}"));
  }
  KubeSourceOptions some;
  some.namespaces = {"blue", "red"};
  Follow(some);
  EXPECT_TRUE(Become({"blue", "red"}));
  source_.reset();
  Follow();
  EXPECT_TRUE(Become({"blue", "red", "green"}));
  source_.reset();
  some.kinds = {kAccesses};
  Follow(some);
  EXPECT_TRUE(Become({}));
}

TEST_F(TenantSourceTest, APolicyAllowsAndForbidsAtOnce) {
  Begin();
  Follow();
  std::vector<std::string> many;
  for (int i = 0; i < 30; ++i) many.push_back(absl::StrCat("t", i));
  std::string list;
  for (const std::string& id : many) absl::StrAppend(&list, id, ", ");
  Create(kTenants, "shared", "it", absl::StrCat("{tenants: [", list, "]}"));
  ASSERT_TRUE(IsSaid(kTenants, "shared", "it", "Forbidden"));
  EXPECT_THAT(Ids(v1::KIND_TENANT), IsEmpty());

  ASSERT_THAT(Apply({PolicyOf({"shared"}, many)}), IsOk());
  EXPECT_TRUE(Become({many.begin(), many.end()}));
  ASSERT_TRUE(IsSaid(kTenants, "shared", "it", "Accepted"));

  // That many do not vanish by mistake: somebody has said so.
  ASSERT_THAT(DeleteObject(v1::KIND_POLICY, "policy"), IsOk());
  EXPECT_TRUE(Become({}));
  EXPECT_TRUE(IsSaid(kTenants, "shared", "it", "Forbidden"));
}

TEST_F(TenantSourceTest, WhatAnotherSourceKeepsStaysAsItIs) {
  Begin();
  v1::Object tenant = New(v1::KIND_TENANT, "blue");
  tenant.mutable_tenant()->set_display_name("of the API");
  v1::Object access = New(v1::KIND_ACCESS, "blue/grant");
  access.mutable_access()->set_tenant_id("blue");
  access.mutable_access()->add_source_tenant_ids("blue");
  access.mutable_access()->add_selectors("up");
  ASSERT_THAT(Apply({tenant, access}), IsOk());
  Create(kTenants, "blue", "it", "{tenants: [blue]}");
  Create(kAccesses, "blue", "grant",
         "{source: blue, metrics: [up], metricIsolation: true}");
  Create(kAccesses, "blue", "other",
         "{source: blue, metrics: [down], metricIsolation: true}");
  Follow();
  ASSERT_TRUE(IsSaid(kTenants, "blue", "it", "OwnedElsewhere"));
  EXPECT_THAT(Condition(kTenants, "blue", "it")["message"],
              HasSubstr("kept by api"));
  ASSERT_TRUE(IsSaid(kAccesses, "blue", "grant", "OwnedElsewhere"));
  // A grant to a tenant of another source is one.
  ASSERT_TRUE(IsSaid(kAccesses, "blue", "other", "Accepted"));
  EXPECT_THAT(Ids(v1::KIND_ACCESS), UnorderedElementsAre("blue/other"));
  EXPECT_EQ(Find(v1::KIND_TENANT, "blue")->meta().source(), "api");
  EXPECT_EQ(Find(v1::KIND_TENANT, "blue")->tenant().display_name(),
            "of the API");

  // Once it is free, it is taken.
  ASSERT_THAT(DeleteObject(v1::KIND_ACCESS, "blue/grant"), IsOk());
  EXPECT_TRUE(IsSaid(kAccesses, "blue", "grant", "Accepted"));
  EXPECT_THAT(Ids(v1::KIND_ACCESS),
              UnorderedElementsAre("blue/grant", "blue/other"));
}

TEST_F(TenantSourceTest, HoldsWhatVanishesInGreatNumbers) {
  Begin();
  std::set<std::string> all;
  for (int i = 0; i < 20; ++i) {
    const std::string id = absl::StrCat("t", i);
    Create(kTenants, id, "it", absl::StrCat("{tenants: [", id, "]}"));
    all.insert(id);
  }
  Follow();
  ASSERT_TRUE(Become(all));
  proxy_->Cut();
  for (int i = 0; i < 12; ++i) Delete(kTenants, absl::StrCat("t", i), "it");
  proxy_->Resume();
  // The deletions arrive one by one: a few may be taken for meant before there
  // are too many of them.
  ASSERT_TRUE(WaitUntil([&] {
    const double held = Gauge("tenant_registry_kube_held_deletions");
    return held > 0 && held + all.size() - Ids(v1::KIND_TENANT).size() == 12;
  }));
  const std::set<std::string> left = Ids(v1::KIND_TENANT);
  ASSERT_GE(left.size(), 10u);  // Of those 12, two are left at least.
  all = left;
  const std::string held = "t11";  // The last that was deleted.
  const std::string uid = UidOf(held);
  ASSERT_NE(uid, "");
  // What comes back is as it was; what is new is made.
  Create(kTenants, "new", "it", "{tenants: [new]}");
  all.insert("new");
  ASSERT_TRUE(Become(all));
  EXPECT_EQ(UidOf(held), uid);

  // Also a registry that has not seen them go holds them, until it is told
  // that it is right.
  source_.reset();
  Follow();
  ASSERT_TRUE(IsSaid(kTenants, "new", "it", "Accepted"));
  ASSERT_TRUE(
      WaitUntil([&] { return Gauge("tenant_registry_kube_synced") == 1; }));
  EXPECT_EQ(Ids(v1::KIND_TENANT), all);
  source_.reset();
  KubeSourceOptions confirmed;
  confirmed.max_deletion_percent = 100;
  Follow(confirmed);
  for (int i = 0; i < 12; ++i) all.erase(absl::StrCat("t", i));
  EXPECT_TRUE(Become(all));
}

}  // namespace
}  // namespace insula::tenant_registry
