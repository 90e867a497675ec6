// Kubernetes objects make tenants that all services know, and unmake them.
#include "tests/kube/kube_tenants_fixture.h"

namespace insula::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Lt;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

// On a machine with two busy cores and instrumented binaries.
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
  // Files and series know of a tenant but its id, so those who keep them see to
  // these, as docs/kubernetes.md says.
  SetRules("");
  Operation(PutPolicy("shop_tenant"));

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

  // What is written from now on is its own, and nobody else's.
  ASSERT_TRUE(WaitUntil([this] {
    return Write(kPlatform, "warehouse", {{{"__name__", "orders"}}}).status ==
           204;
  }));
  EXPECT_THAT(Reads(kPlatform, "warehouse"), UnorderedElementsAre("orders"));
  EXPECT_THAT(Query(kPlatform, "warehouse", "orders").body,
              HasSubstr(R"("shop_tenant":"warehouse")"));
  EXPECT_THAT(Reads(Constellation::kRed, ""), IsEmpty());
}

}  // namespace
}  // namespace insula::e2e
