// Kubernetes objects make tenants that all services know, and unmake them.
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "tests/kube/kube_tenants_fixture.h"

namespace insula::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Lt;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

// With instrumented binaries, but on a machine that is idle otherwise.
constexpr absl::Duration kEffective = absl::Seconds(1);

using KubeTenantsTest = KubeTenantsFixture;

TEST_F(KubeTenantsTest, TheExamplesAreInEffectInAllServicesWithinASecond) {
  const absl::Time start = absl::Now();
  CreateExamples();
  EXPECT_THAT(Until(InEffect(), start), Lt(kEffective));

  // The one with a MetricAccess reads what that grants, the others all of
  // their own and nothing else.
  const auto series = [](const char* name, const char* environment) {
    return std::map<std::string, std::string>{{"__name__", name},
                                              {"environment", environment}};
  };
  EXPECT_EQ(Write(kPlatform, "team-shop",
                  {series("checkout_orders_total", "production"),
                   series("checkout_errors_total", "test"),
                   series("payroll_total", "production")})
                .status,
            204);
  EXPECT_THAT(Reads(kPlatform, "team-shop"),
              UnorderedElementsAre("checkout_orders_total"));
  EXPECT_EQ(Write(kPlatform, ".*", {series("mine", "test")}).status, 204);
  EXPECT_THAT(Reads(kPlatform, ".*"), UnorderedElementsAre("orders", "mine"));
  EXPECT_TRUE(WaitUntil([this] {
    return Reads(kPlatform, "warehouse") ==
           std::set<std::string>({"orders", "orders:sum", "go_goroutines"});
  }));

  // Everybody can read what became of them.
  for (const auto& [resource, name] :
       std::vector<std::pair<std::string, std::string>>{
           {"metricaccesses", "storefront"},
           {"openmetricsrules", "storefront-rules"},
           {"metricsingestiontenants", "warehouses"}}) {
    ASSERT_TRUE(WaitUntil([&] {
      return Kubectl({"get", resource, name, "-n", "team-shop", "-o",
                      "jsonpath={.status.conditions[?(@.type==\"Accepted\")]"
                      ".status}"}) == "True";
    }));
    const std::string text =
        Kubectl({"get", resource, name, "-n", "team-shop", "-o", "yaml"});
    SCOPED_TRACE(text);
    const YAML::Node status = YAML::Load(text)["status"];
    if (resource != "openmetricsrules") {  // That one has two writers.
      EXPECT_EQ(status["observedGeneration"].as<int>(), 1);
    }
    std::map<std::string, std::string> reasons;
    for (const YAML::Node& condition : status["conditions"]) {
      EXPECT_EQ(condition["observedGeneration"].as<int>(), 1);
      reasons[condition["type"].as<std::string>()] =
          condition["reason"].as<std::string>();
    }
    EXPECT_EQ(reasons["Accepted"], "Accepted");
    EXPECT_EQ(reasons["TenantReady"], "Ready");
  }
  EXPECT_THAT(Kubectl({"get", "mit", "-n", "team-shop"}), HasSubstr("True"));
}

TEST_F(KubeTenantsTest, ADeletionRevokesInAllServicesWithinASecond) {
  CreateExamples();
  Until(InEffect(), absl::Now());
  Operation(PutTeam());
  ASSERT_TRUE(
      WaitUntil([this] { return Query(kTeam, "", "orders").status == 200; }));

  const absl::Time start = absl::Now();
  DeleteExamples();
  std::vector<Condition> revoked = Revoked();
  revoked.emplace_back("the token of a tenant", [this] {
    return Query(kTeam, "", "orders").status == 401 &&
           Write(kTeam, "", {{{"__name__", "orders"}}}).status == 401;
  });
  EXPECT_THAT(Until(std::move(revoked), start), Lt(kEffective));
}

TEST_F(KubeTenantsTest, ATenantMadeAgainSeesNothingOfTheFormerOne) {
  CreateExamples();
  Until(InEffect(), absl::Now());
  Operation(PutTeam());
  v1::Object grant;  // Whose source is the tenant.
  grant.mutable_access()->set_tenant_id("red");
  grant.mutable_access()->add_source_tenant_ids("warehouse");
  grant.mutable_access()->add_selectors("orders");
  Operation(Put(v1::KIND_ACCESS, "red-reads-orders", grant));
  EXPECT_EQ(
      Write(kPlatform, "team-shop",
            {{{"__name__", "checkout_old"}, {"environment", "production"}}})
          .status,
      204);
  ASSERT_TRUE(WaitUntil([this] {
    return Reads(kTeam, "").contains("orders:sum") &&
           Reads(Constellation::kRed, "").contains("orders");
  }));
  const std::string uid = Find(v1::KIND_TENANT, "warehouse").meta().uid();
  EXPECT_THAT(uid, SizeIs(16));

  DeleteExamples();
  Until(Revoked(), absl::Now());
  for (const auto& [kind, id] : std::vector<std::pair<v1::Kind, std::string>>{
           {v1::KIND_BINDING, "warehouse-team"},
           {v1::KIND_JOB, "goroutines"},
           {v1::KIND_ACCESS, "red-reads-orders"},
           {v1::KIND_ACCESS, "team-shop/storefront"}}) {
    EXPECT_FALSE(Find(kind, id).has_meta()) << id;
  }

  // The series and the rule file of the former ones are there still.
  EXPECT_THAT(constellation_.AskStore("orders{namespace=\"warehouse\"}"),
              HasSubstr("orders"));
  CreateExamples();
  ASSERT_TRUE(WaitUntil([this] {
    return Query(kPlatform, "warehouse", "orders").status == 200 &&
           Query(kPlatform, "team-shop", "orders").status == 200;
  }));
  EXPECT_NE(Find(v1::KIND_TENANT, "warehouse").meta().uid(), uid);
  EXPECT_THAT(Reads(kPlatform, "warehouse"), IsEmpty());
  EXPECT_THAT(Reads(kPlatform, "team-shop"), IsEmpty());
  EXPECT_EQ(Query(kTeam, "", "orders").status, 401);
  EXPECT_THAT(Groups("warehouse"), IsEmpty());
  EXPECT_EQ(Loaded(), 0u);
  EXPECT_THAT(Jobs(), IsEmpty());
  // It says why.
  EXPECT_TRUE(WaitUntil([this] {
    return absl::StrContains(
        Kubectl({"get", "mit", "warehouses", "-n", "team-shop", "-o",
                 "jsonpath={.status.conditions[?(@.type==\"TenantReady\")]"
                 ".message}"}),
        "warehouse as warehouse~2");
  }));

  // What is written from now on is its own, and nobody else's.
  ASSERT_TRUE(WaitUntil([this] {
    return Write(kPlatform, "warehouse", {{{"__name__", "orders"}}}).status ==
           204;
  }));
  EXPECT_THAT(Reads(kPlatform, "warehouse"), UnorderedElementsAre("orders"));
  EXPECT_THAT(Query(kPlatform, "warehouse", "orders").body,
              HasSubstr(R"("namespace":"warehouse~2")"));
  EXPECT_THAT(Reads(Constellation::kRed, ""), IsEmpty());
  // So are rules.
  EXPECT_THAT(Groups("warehouse"), IsEmpty());
  EXPECT_EQ(Loaded(), 0u);
  SetRules(
      "groups: [{name: orders, interval: 200ms, rules: "
      "[{record: 'orders:again', expr: count(orders)}]}]\n");
  EXPECT_TRUE(WaitUntil([this] {
    return Reads(kPlatform, "warehouse") ==
           std::set<std::string>({"orders", "orders:again"});
  }));
  EXPECT_EQ(Find(v1::KIND_TENANT, "warehouse").tenant().org_id(),
            "warehouse!2");
}

TEST_F(KubeTenantsTest, WhatIsWrittenByHandIsRefusedUnlessItIsMeant) {
  CreateExamples();
  Until(InEffect(), absl::Now());
  const v1::Object first = Find(v1::KIND_TENANT, "warehouse");
  const std::string uid = absl::BytesToHexString(first.meta().uid());
  DeleteExamples();
  Until(Revoked(), absl::Now());
  ASSERT_TRUE(WaitUntil(
      [this] { return !Find(v1::KIND_TENANT, "warehouse").has_meta(); }));

  v1::Object again;
  *again.mutable_tenant() = first.tenant();
  EXPECT_FALSE(TryApply(Put(v1::KIND_TENANT, "warehouse", again)));
  // Under another id as well.
  EXPECT_FALSE(TryApply(Put(v1::KIND_TENANT, "somebody", again)));
  again.mutable_tenant()->add_inherits_uids(uid);
  EXPECT_TRUE(TryApply(Put(v1::KIND_TENANT, "warehouse", again)));
  ASSERT_TRUE(WaitUntil([this] {
    return Query(kPlatform, "warehouse", "orders").status == 200;
  }));
  EXPECT_TRUE(Reads(kPlatform, "warehouse").contains("orders"));
}

}  // namespace
}  // namespace insula::e2e
