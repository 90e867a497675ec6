// The Kubernetes source of the registry while the API server fails in every
// way that one meets. After each, the registry is as Kubernetes has it.
#include <csignal>
#include <string>

#include "tests/kube/tenant_source_fixture.h"

namespace insula::tenant_registry {
namespace {

using e2e::WaitUntil;

// A stalled connection is found in 30 s, and then some work is to be done.
constexpr absl::Duration kStall = absl::Seconds(30);
constexpr absl::Duration kSlack = absl::Seconds(30);
constexpr absl::Duration kLong = absl::Minutes(1);

class TenantSourceFaultsTest : public TenantSourceFixture {
 protected:
  void Declare(const std::string& tenant) {
    Create(kTenants, tenant, "it", absl::StrCat("{tenants: [", tenant, "]}"));
  }
  void Undeclare(const std::string& tenant) { Delete(kTenants, tenant, "it"); }

  double Lists(const std::string& result) {
    return metrics_
        .AddCounter(
            "insula_kube_informer_lists_total", "",
            {{"resource", "metricsingestiontenants.open-metrics.vgs.io"},
             {"namespace", ""},
             {"result", result}})
        .Value();
  }
  double Watches(const std::string& result) {
    return metrics_
        .AddCounter(
            "insula_kube_informer_watches_total", "",
            {{"resource", "metricsingestiontenants.open-metrics.vgs.io"},
             {"namespace", ""},
             {"result", result}})
        .Value();
  }
};

TEST_F(TenantSourceFaultsTest, MissesNothingWhenTheWatchHasExpired) {
  Begin({"--watch-cache=false"});
  Declare("gone");
  Declare("stays");
  Follow();
  ASSERT_TRUE(Become({"gone", "stays"}));
  proxy_->Cut();
  Undeclare("gone");
  Declare("new");
  api_->Compact();
  proxy_->Resume();
  EXPECT_TRUE(Become({"new", "stays"}, kLong));
  EXPECT_GE(Watches("expired"), 1);
}

TEST_F(TenantSourceFaultsTest, SurvivesAKilledServer) {
  Begin();
  Declare("blue");
  Declare("red");
  Follow();
  ASSERT_TRUE(Become({"blue", "red"}));
  const std::string uid = UidOf("blue");
  for (const char* name : {"one", "two"}) {
    api_->Kill();
    ASSERT_TRUE(WaitUntil([&] { return Watches("error") >= 1; }, kLong));
    EXPECT_EQ(UidOf("blue"), uid);
    api_->Start();  // It answers 429 at first.
    ASSERT_TRUE(WaitUntil(
        [&] { return Send("GET", PathOf(kTenants, "x")).status == 200; }));
    Declare(name);
    ASSERT_TRUE(WaitUntil([&] { return !UidOf(name).empty(); }, kLong));
  }
  Undeclare("red");
  EXPECT_TRUE(Become({"blue", "one", "two"}, kLong));
  EXPECT_EQ(UidOf("blue"), uid);
}

TEST_F(TenantSourceFaultsTest, FindsAStalledConnection) {
  Begin();
  Declare("blue");
  Follow();
  ASSERT_TRUE(Become({"blue"}));
  Declare("red");
  ASSERT_TRUE(Become({"blue", "red"}));  // The watch is there.
  proxy_->Stall();
  Undeclare("blue");
  EXPECT_TRUE(Become({"red"}, kStall + kSlack));
  EXPECT_GE(Watches("stalled"), 1);
}

TEST_F(TenantSourceFaultsTest, FindsAFrozenServer) {
  Begin();
  Declare("blue");
  Follow();
  ASSERT_TRUE(Become({"blue"}));
  api_->Signal(SIGSTOP);
  EXPECT_TRUE(
      WaitUntil([&] { return Watches("stalled") >= 1; }, kStall + kSlack));
  EXPECT_EQ(Ids(v1::KIND_TENANT), std::set<std::string>({"blue"}));
  api_->Signal(SIGCONT);
  Undeclare("blue");
  Declare("red");
  EXPECT_TRUE(Become({"red"}, kLong));
}

TEST_F(TenantSourceFaultsTest, TheDeletionOfAKindIsNotThatOfItsObjects) {
  Begin();
  Declare("blue");
  Declare("red");
  Create(kAccesses, "blue", "grant",
         "{source: blue, metrics: [up], metricIsolation: true}");
  Follow();
  ASSERT_TRUE(Become({"blue", "red"}));
  ASSERT_TRUE(WaitUntil([&] { return Ids(v1::KIND_ACCESS).size() == 1; }));
  const std::string uid = UidOf("red");
  DeleteKind(kTenants);
  DeleteKind(kAccesses);
  // All three have been seen to vanish.
  ASSERT_TRUE(WaitUntil(
      [&] { return Gauge("tenant_registry_kube_held_deletions") == 3; },
      kLong));
  EXPECT_EQ(Ids(v1::KIND_TENANT), std::set<std::string>({"blue", "red"}));
  EXPECT_EQ(Ids(v1::KIND_ACCESS), std::set<std::string>({"blue/grant"}));

  // What is there again is what it was.
  MakeKind(kTenants);
  MakeKind(kAccesses);
  Declare("red");
  ASSERT_TRUE(WaitUntil(
      [&] { return Gauge("tenant_registry_kube_held_deletions") == 2; },
      kLong));
  EXPECT_EQ(UidOf("red"), uid);
  // And one that is deleted is deleted.
  Undeclare("red");
  EXPECT_TRUE(Become({"blue"}, kLong));
  EXPECT_EQ(Ids(v1::KIND_ACCESS), std::set<std::string>({"blue/grant"}));
}

TEST_F(TenantSourceFaultsTest, KeepsAllWhenItsRightsAreWithdrawn) {
  Begin({"--authz", "rbac"}, e2e::kRbacTokens, e2e::kRedToken);
  e2e::RightsOfRed rights(api_.get(), R"({
      "apiGroups": ["observability.ethos.io", "open-metrics.vgs.io"],
      "resources": ["*"], "verbs": ["get", "list", "watch"]})");
  Declare("blue");
  Declare("red");
  Follow();
  ASSERT_TRUE(Become({"blue", "red"}));
  // It may not write statuses: that keeps nothing from being effective.
  ASSERT_TRUE(WaitUntil([&] {
    return metrics_
               .AddCounter("tenant_registry_kube_status_writes_total", "",
                           {{"result", "error"}})
               .Value() >= 1;
  }));

  rights.Withdraw();
  proxy_->Cut();  // Else the watch goes on until its end.
  Undeclare("blue");
  proxy_->Resume();
  ASSERT_TRUE(WaitUntil([&] { return Lists("error") >= 1; }, kLong));
  EXPECT_EQ(Ids(v1::KIND_TENANT), std::set<std::string>({"blue", "red"}));
  rights.Give();
  EXPECT_TRUE(Become({"red"}, kLong));
}

TEST_F(TenantSourceFaultsTest, DeletesNothingBeforeAllIsListed) {
  Begin();
  Declare("blue");
  Create(kAccesses, "blue", "grant",
         "{source: blue, metrics: [up], metricIsolation: true}");
  Follow();
  ASSERT_TRUE(Become({"blue"}));
  ASSERT_TRUE(WaitUntil([&] { return Ids(v1::KIND_ACCESS).size() == 1; }));
  source_.reset();
  Undeclare("blue");
  Delete(kAccesses, "blue", "grant");
  DeleteKind(kRules);
  // One kind can't be listed, so a tenant might be declared there. Accesses
  // come from one kind alone.
  Follow();
  EXPECT_TRUE(WaitUntil([&] { return Ids(v1::KIND_ACCESS).empty(); }));
  Declare("red");
  EXPECT_TRUE(Become({"blue", "red"}));
  EXPECT_EQ(Gauge("tenant_registry_kube_synced"), 0);
  MakeKind(kRules);
  EXPECT_TRUE(Become({"red"}, kLong));
  EXPECT_TRUE(
      WaitUntil([&] { return Gauge("tenant_registry_kube_synced") == 1; }));
}

}  // namespace
}  // namespace insula::tenant_registry
