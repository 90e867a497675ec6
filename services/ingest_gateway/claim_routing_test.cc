// Series of shared senders: to which tenants they go, and that Why says so.
#include <gmock/gmock.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/status/status_matchers.h"
#include "services/ingest_gateway/explain.h"
#include "services/ingest_gateway/write_fixture.h"

namespace insula::ingest_gateway {
namespace {

namespace v1 = registry::v1;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;
using testing::UnorderedElementsAre;

class ClaimRoutingTest : public WriteFixture {
 protected:
  // The rule of a sender "shared" that may write for red, blue and green.
  v1::ClaimRule* Rule() {
    if (rule_ == nullptr) {
      rule_ = Add(v1::KIND_CLAIM_RULE, "rule")->mutable_claim_rule();
      AddBinding("shared", {"red", "blue", "green"}, "rule");
    }
    return rule_;
  }
  static void AddValue(const std::string& label, const std::string& value,
                       const std::string& tenant, v1::ClaimRule* rule) {
    v1::ClaimRule::Values* const values = rule->add_values();
    values->set_label(label);
    (*values->mutable_tenant_ids())[value] = tenant;
  }
  static void AddSelection(const std::string& selector,
                           const std::vector<std::string>& tenants,
                           v1::ClaimRule* rule) {
    v1::ClaimRule::Selection* const selection = rule->add_selections();
    selection->set_selector(selector);
    for (const std::string& tenant : tenants) selection->add_tenant_ids(tenant);
  }

  int Send(const std::vector<Labels>& series) {
    last_ = Write("shared", Compressed(Message(series)));
    return last_.status;
  }

  v1::ClaimRule* rule_ = nullptr;
  http::Response last_;
};

TEST_F(ClaimRoutingTest, ASeriesGoesToTheTenantsOfAllItsLabelsOnce) {
  Rule()->set_label("owner");
  Rule()->add_labels("team");
  EXPECT_EQ(Send({{{"__name__", "a"}, {"owner", "red"}, {"team", "blue"}},
                  {{"__name__", "b"}, {"owner", "red"}, {"team", "red"}},
                  {{"__name__", "c"}, {"owner", ""}, {"team", "green"}}}),
            204);
  EXPECT_THAT(Arrived(),
              UnorderedElementsAre(
                  Pair("red", ElementsAre("__name__=a,owner=red,team=blue",
                                          "__name__=b,owner=red,team=red")),
                  Pair("blue", ElementsAre("__name__=a,owner=red,team=blue")),
                  Pair("green", ElementsAre("__name__=c,team=green"))));
}

TEST_F(ClaimRoutingTest, WhereTheSenderMayNotWriteIsRefusedAndTheRestGoes) {
  Rule()->add_labels("owner");
  Rule()->add_labels("team");
  AddTenant("black");
  EXPECT_EQ(Send({{{"__name__", "a"}, {"owner", "red"}, {"team", "black"}}}),
            400);
  EXPECT_THAT(last_.body, HasSubstr("tenant_not_allowed: 1 series"));
  EXPECT_THAT(TenantsReached(), ElementsAre("red"));
  EXPECT_EQ(Send({{{"__name__", "a"}, {"owner", "black"}, {"team", "black"}}}),
            403);
  EXPECT_THAT(TenantsReached(), IsEmpty());
}

TEST_F(ClaimRoutingTest, ValuesAndSelectionsGiveSeriesToTenants) {
  AddValue("ns", "shop", "red", Rule());
  AddSelection("up{job=~\"a.*\"}", {"blue", "green"}, Rule());
  EXPECT_EQ(Send({{{"__name__", "up"}, {"job", "abc"}, {"ns", "shop"}},
                  {{"__name__", "up"}, {"job", "b"}, {"ns", "shop"}},
                  {{"__name__", "up"}, {"job", "a"}}}),
            204);
  EXPECT_THAT(Arrived(),
              UnorderedElementsAre(
                  Pair("red", ElementsAre("__name__=up,job=abc,ns=shop",
                                          "__name__=up,job=b,ns=shop")),
                  Pair("blue", ElementsAre("__name__=up,job=abc,ns=shop",
                                           "__name__=up,job=a")),
                  Pair("green", ElementsAre("__name__=up,job=abc,ns=shop",
                                            "__name__=up,job=a"))));
  EXPECT_EQ(Send({{{"__name__", "up"}, {"ns", "other"}}}), 400);
  EXPECT_THAT(last_.body, HasSubstr("tenant_missing"));
}

TEST_F(ClaimRoutingTest, DefaultsTakeTheRestOrWithFullReplicationEverything) {
  Rule()->set_label("team");
  Rule()->set_default_tenant_id("blue");
  Rule()->add_default_tenant_ids("green");
  const std::vector<Labels> series = {{{"__name__", "a"}, {"team", "red"}},
                                      {{"__name__", "b"}}};
  EXPECT_EQ(Send(series), 204);
  EXPECT_THAT(Arrived(), UnorderedElementsAre(
                             Pair("red", ElementsAre("__name__=a,team=red")),
                             Pair("blue", ElementsAre("__name__=b")),
                             Pair("green", ElementsAre("__name__=b"))));
  Rule()->set_full_replication(true);
  EXPECT_EQ(Send(series), 204);
  EXPECT_THAT(
      Arrived(),
      UnorderedElementsAre(
          Pair("red", ElementsAre("__name__=a,team=red")),
          Pair("blue", ElementsAre("__name__=a,team=red", "__name__=b")),
          Pair("green", ElementsAre("__name__=a,team=red", "__name__=b"))));
}

TEST_F(ClaimRoutingTest, OnlyAllowedTenantsMayBeNamed) {
  Rule()->set_label("team");
  Rule()->add_allowed_tenant_ids("red");
  Rule()->set_default_tenant_id("blue");
  EXPECT_EQ(Send({{{"__name__", "a"}, {"team", "red"}},
                  {{"__name__", "b"}, {"team", "green"}},
                  {{"__name__", "c"}}}),
            400);
  EXPECT_THAT(last_.body,
              AllOf(HasSubstr("tenant_not_allowed"), HasSubstr("'green'")));
  EXPECT_THAT(Arrived(), UnorderedElementsAre(
                             Pair("red", ElementsAre("__name__=a,team=red")),
                             Pair("blue", ElementsAre("__name__=c"))));
}

TEST_F(ClaimRoutingTest, EachCopyGetsTheLabelsThatItsTenantEnforces) {
  Rule()->add_labels("owner");
  Rule()->add_labels("team");
  Rule()->set_remove_label(true);
  TenantNamed("blue")->set_upstream_id("shared");
  (*TenantNamed("blue")->mutable_enforced_labels())["team"] = "blue";
  TenantNamed("green")->set_upstream_id("shared");
  (*TenantNamed("green")->mutable_enforced_labels())["zone"] = "g";
  EXPECT_EQ(Send({{{"__name__", "a"}, {"owner", "red"}, {"team", "blue"}}}),
            204);
  EXPECT_THAT(Arrived(), UnorderedElementsAre(
                             Pair("red", ElementsAre("__name__=a")),
                             Pair("", ElementsAre("__name__=a,team=blue"))));
  EXPECT_EQ(Send({{{"__name__", "a"}, {"owner", "green"}}}), 204);
  EXPECT_THAT(Arrived(),
              ElementsAre(Pair("", ElementsAre("__name__=a,zone=g"))));
  // A copy that would look like another tenant's is refused, the other goes.
  EXPECT_EQ(Send({{{"__name__", "a"},
                   {"owner", "red"},
                   {"team", "green"},
                   {"zone", "x"}}}),
            400);
  EXPECT_THAT(last_.body, HasSubstr("tenant 'green': foreign_label"));
  EXPECT_THAT(Arrived(),
              ElementsAre(Pair("red", ElementsAre("__name__=a,zone=x"))));
}

TEST_F(ClaimRoutingTest, ATenantThatCanNotBeWrittenDoesNotStopTheOthers) {
  Rule()->set_default_tenant_id("red");
  Rule()->add_default_tenant_ids("blue");
  TenantNamed("red")->set_state(v1::Tenant::STATE_READ_ONLY);
  EXPECT_EQ(Send({{{"__name__", "a"}}}), 400);
  EXPECT_THAT(last_.body, HasSubstr("tenant_read_only"));
  EXPECT_THAT(TenantsReached(), ElementsAre("blue"));
}

TEST_F(ClaimRoutingTest, AChangedRuleHoldsForTheNextWrite) {
  Rule()->set_default_tenant_id("red");
  EXPECT_EQ(Send({{{"__name__", "a"}}}), 204);
  EXPECT_THAT(TenantsReached(), ElementsAre("red"));
  AddSelection("a", {"green"}, Rule());
  EXPECT_EQ(Send({{{"__name__", "a"}}}), 204);
  EXPECT_THAT(TenantsReached(), ElementsAre("green"));
}

TEST_F(ClaimRoutingTest, WhyNamesEveryDestinationItsRuleStoreAndLimits) {
  Rule()->set_label("team");
  AddValue("ns", "shop", "blue", Rule());
  AddSelection("up", {"green", "ghost"}, Rule());
  Add(v1::KIND_LIMITS, "small")->mutable_limits()->set_max_label_names(7);
  TenantNamed("blue")->set_limits_id("small");
  Snapshot();
  ingest::v1::WhyRequest request;
  request.set_binding_id("shared");
  for (const auto& [name, value] :
       Labels{{"__name__", "up"}, {"team", "red"}, {"ns", "shop"}}) {
    (*request.mutable_labels())[name] = value;
  }
  const auto why = Explain(request, Snapshot(), config_, clock_.Now());
  ASSERT_THAT(why, IsOk());
  std::vector<std::string> told;
  for (const auto& to : why->destinations()) {
    told.push_back(absl::StrCat(to.tenant_id(), " by ", to.rule(), ": ",
                                to.refusal().substr(0, 18)));
  }
  EXPECT_THAT(told, ElementsAre("red by claim rule rule: label team: ",
                                "blue by claim rule rule: value of ns: ",
                                "green by claim rule rule: selection up: ",
                                "ghost by claim rule rule: selection up: "
                                "tenant_not_allowed"));
  EXPECT_THAT(why->refusal(), HasSubstr("tenant_not_allowed"));
  EXPECT_EQ(why->destinations(1).limits().max_label_names(), 7);
  EXPECT_EQ(why->destinations(0).limits().max_label_names(), 30);
  EXPECT_EQ(why->destinations(0).write_url(), store_.url());
  EXPECT_EQ(why->destinations(3).write_url(), "");
  EXPECT_EQ(why->tenant_id(), "red");
}

// Rules of all kinds at once, and many series: what arrives is what Why says.
TEST_F(ClaimRoutingTest, AWriteDoesWhatWhySays) {
  Rule()->set_label("team");
  Rule()->add_labels("owner");
  Rule()->set_remove_label(true);
  AddValue("ns", "shop", "red", Rule());
  AddValue("zone", "z", "black", Rule());
  AddSelection("{job=~\"a|b\"}", {"blue"}, Rule());
  AddSelection("up{job!=\"a\"}", {"green", "blue"}, Rule());
  AddTenant("black");
  TenantNamed("green")->set_upstream_id("shared");
  (*TenantNamed("green")->mutable_enforced_labels())["ns"] = "shop";
  int accepted = 0;
  int partly = 0;
  for (const char* defaults : {"", "blue"}) {
    Rule()->set_default_tenant_id(defaults);
    // Every fifth combination.
    for (int i = 0; i < 2 * 3 * 3 * 3 * 3 * 2; i += 5) {
      int rest = i;
      const auto pick = [&rest](std::vector<std::string> values) {
        const auto at = static_cast<size_t>(rest) % values.size();
        rest /= static_cast<int>(values.size());
        return values[at];
      };
      Labels series = {{"__name__", pick({"up", "down"})}};
      for (auto& [name, value] : Labels{{"job", pick({"", "a", "c"})},
                                        {"ns", pick({"", "shop", "x"})},
                                        {"owner", pick({"", "red", "black"})},
                                        {"team", pick({"", "green", "no one"})},
                                        {"zone", pick({"", "z"})}}) {
        if (!value.empty()) series.emplace_back(name, value);
      }
      ingest::v1::WhyRequest request;
      request.set_binding_id("shared");
      for (const auto& [name, value] : series) {
        (*request.mutable_labels())[name] = value;
      }
      const auto why = Explain(request, Snapshot(), config_, clock_.Now());
      ASSERT_THAT(why, IsOk());
      SCOPED_TRACE(why->ShortDebugString());
      std::map<std::string, std::vector<std::string>> told;
      for (const auto& to : why->destinations()) {
        if (!to.refusal().empty()) continue;
        const std::map<std::string, std::string> sorted(to.labels().begin(),
                                                        to.labels().end());
        told[to.upstream_id() == "shared" ? "" : to.tenant_id()].push_back(
            absl::StrJoin(sorted, ",", absl::PairFormatter("=")));
      }
      const int status = Send({series});
      EXPECT_EQ(status == 204, why->refusal().empty());
      EXPECT_EQ(Arrived(), told);
      if (told.empty()) continue;
      ++(status == 204 ? accepted : partly);
    }
  }
  EXPECT_GT(accepted, 10);
  EXPECT_GT(partly, 10);
}

TEST_F(ClaimRoutingTest, LimitsOfWritesAreEachTenantsOwnAndLive) {
  auto& limits = *Add(v1::KIND_LIMITS, "small")->mutable_limits();
  limits.set_max_series_per_write(1);
  TenantNamed("blue")->set_limits_id("small");
  const std::string body = BodyOf({"red", "red", "blue", "blue"});
  EXPECT_EQ(Write("sender", body).status, 400);
  EXPECT_THAT(Write("sender", body).body,
              AllOf(HasSubstr("tenant 'blue': max_series_per_write: 2 series"),
                    HasSubstr("(limit 1)"), Not(HasSubstr("'red'"))));
  EXPECT_THAT(TenantsReached(), ElementsAre("red", "red"));

  limits.clear_max_series_per_write();
  limits.set_write_requests_per_second(0.5);
  limits.set_write_requests_burst(1);
  EXPECT_EQ(Write("sender", body).status, 204);
  const auto slow = Write("sender", body);
  EXPECT_EQ(slow.status, 429);
  EXPECT_THAT(slow.headers.Get("Retry-After"),
              testing::Optional(absl::string_view("2")));
  EXPECT_THAT(slow.body, HasSubstr("request_rate_limited"));
  EXPECT_THAT(TenantsReached(), ElementsAre("blue", "red", "red"));

  limits.clear_write_requests_per_second();
  limits.clear_write_requests_burst();
  limits.set_write_bytes_per_second(1);
  limits.set_write_bytes_burst(20);
  const auto large = Write("sender", BodyOf({"red", "blue"}));
  EXPECT_EQ(large.status, 400);
  EXPECT_THAT(large.body,
              AllOf(HasSubstr("burst_exceeded"), HasSubstr("(limit 20)")));
}

}  // namespace
}  // namespace insula::ingest_gateway
