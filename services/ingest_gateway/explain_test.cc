#include "services/ingest_gateway/explain.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/status/status_matchers.h"
#include "services/ingest_gateway/write_fixture.h"

namespace insula::ingest_gateway {
namespace {

namespace v1 = registry::v1;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;
using testing::StartsWith;
using testing::UnorderedElementsAre;

class ExplainTest : public WriteFixture {
 protected:
  static ingest::v1::WhyRequest Ask(const std::string& binding,
                                    const std::string& tenant,
                                    const Labels& labels) {
    ingest::v1::WhyRequest request;
    request.set_binding_id(binding);
    request.set_tenant_id(tenant);
    for (const auto& [name, value] : labels) {
      (*request.mutable_labels())[name] = value;
    }
    return request;
  }

  absl::StatusOr<ingest::v1::WhyResponse> TryWhy(
      const ingest::v1::WhyRequest& request) {
    return Explain(request, Snapshot(), config_, clock_.Now());
  }

  ingest::v1::WhyResponse Why(const std::string& binding,
                              const std::string& tenant, const Labels& labels) {
    const auto response = TryWhy(Ask(binding, tenant, labels));
    EXPECT_THAT(response, IsOk());
    return response.ok() ? *response : ingest::v1::WhyResponse();
  }

  // A binding whose claim rule takes tenants of label job, drops it, and gives
  // what has none to green.
  void AddStripping() {
    auto* rule = Add(v1::KIND_CLAIM_RULE, "strip")->mutable_claim_rule();
    rule->set_label("job");
    rule->set_remove_label(true);
    rule->set_default_tenant_id("green");
    AddBinding("strip", {"red", "green"}, "strip");
  }
};

const Labels kUp = {{"__name__", "up"}};

Labels UpOf(const std::string& tenant) {
  return {{"__name__", "up"}, {"namespace", tenant}};
}

TEST_F(ExplainTest, NamesTenantRuleAndStore) {
  const auto why = Why("sender", "", UpOf("blue"));
  EXPECT_EQ(why.tenant_id(), "blue");
  EXPECT_EQ(why.refusal(), "");
  EXPECT_EQ(why.rule(), "claim rule by-namespace: label namespace");
  EXPECT_EQ(why.upstream_id(), "store");
  EXPECT_EQ(why.write_url(), store_.url());
  EXPECT_THAT(why.labels(), UnorderedElementsAre(Pair("__name__", "up"),
                                                 Pair("namespace", "blue")));
}

TEST_F(ExplainTest, NamesTheFactByWhichTheTenantWasFound) {
  AddBinding("two", {"red", "blue"}, "");
  AddStripping();
  EXPECT_EQ(Why("only-red", "", kUp).rule(), "binding");
  EXPECT_EQ(Why("two", "blue", kUp).rule(), "header");
  EXPECT_EQ(Why("two", "blue", kUp).tenant_id(), "blue");
  EXPECT_EQ(Why("", "blue", kUp).rule(), "header");
  EXPECT_EQ(Why("", "blue", kUp).tenant_id(), "blue");
  EXPECT_EQ(Why("strip", "", kUp).rule(), "claim rule strip: default");
  EXPECT_EQ(Why("strip", "", kUp).tenant_id(), "green");
  EXPECT_EQ(Why("sender", "", kUp).rule(), "");
  // The same where it is of no use.
  TenantNamed("green")->set_state(v1::Tenant::STATE_SUSPENDED);
  EXPECT_EQ(Why("strip", "", kUp).rule(), "claim rule strip: default");
  EXPECT_EQ(Why("strip", "", kUp).tenant_id(), "");
  EXPECT_EQ(Why("sender", "", UpOf("nobody")).rule(),
            "claim rule by-namespace: label namespace");
}

TEST_F(ExplainTest, SaysWhyASeriesIsRefused) {
  TenantNamed("red")->set_upstream_id("shared");
  (*TenantNamed("red")->mutable_enforced_labels())["team"] = "red";
  TenantNamed("green")->set_upstream_id("shared");
  AddTenant("full")->set_state(v1::Tenant::STATE_READ_ONLY);
  AddTenant("short")->set_limits_id("short");
  Add(v1::KIND_LIMITS, "short")->mutable_limits()->set_max_label_value_bytes(3);
  const std::pair<Labels, std::string> cases[] = {
      {{{"namespace", "blue"}}, "missing_metric_name: "},
      {{{"__name__", "a b"}, {"namespace", "blue"}}, "metric_name_invalid: "},
      {{{"__name__", "up"}, {"a-b", "c"}, {"namespace", "blue"}},
       "label_invalid: "},
      {UpOf("a|b"), "tenant_id_invalid: "},
      {UpOf("ghost"), "tenant_unknown: "},
      {UpOf("full"), "tenant_read_only: "},
      {UpOf("green"), "no_enforced_labels: "},
      {{{"__name__", "up"}, {"namespace", "red"}, {"team", "blue"}},
       "foreign_label: "},
      {UpOf("short"), "label_value_too_long (limit 3): shorten it"},
      {kUp, "tenant_missing: set the label"},
  };
  for (const auto& [labels, refusal] : cases) {
    const auto why = Why("every", "", labels);
    EXPECT_THAT(why.refusal(), StartsWith(refusal));
    EXPECT_EQ(why.tenant_id(), "") << refusal;
    EXPECT_THAT(why.labels(), IsEmpty()) << refusal;
    EXPECT_EQ(why.write_url(), "") << refusal;
  }
  EXPECT_THAT(Why("sender", "", UpOf("green")).refusal(),
              StartsWith("tenant_not_allowed: "));
}

TEST_F(ExplainTest, SaysWhyASenderIsRefused) {
  AddBinding("lost", {"red"}, "gone");
  EXPECT_THAT(Why("only-red", "blue", kUp).refusal(),
              HasSubstr("binding 'only-red' may not act for tenant 'blue'"));
  EXPECT_THAT(Why("reader", "", kUp).refusal(), HasSubstr("lacks ROLE_WRITE"));
  EXPECT_THAT(Why("", "ghost", kUp).refusal(), HasSubstr("does not exist"));
  EXPECT_THAT(Why("lost", "", kUp).refusal(),
              HasSubstr("claim rule 'gone' of binding 'lost'"));
  config_.max_labels = 1;
  EXPECT_THAT(Why("sender", "", UpOf("blue")).refusal(), HasSubstr("labels"));
}

TEST_F(ExplainTest, RefusesWhatIsNoQuestion) {
  EXPECT_THAT(
      TryWhy(Ask("", "", kUp)),
      StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("binding_id: ")));
  EXPECT_THAT(
      TryWhy(Ask("sender", "", {})),
      StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("labels: ")));
  EXPECT_THAT(
      TryWhy(Ask("nobody", "", kUp)),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("no binding 'nobody'")));
  EXPECT_THAT(Explain(Ask("sender", "", kUp),
                      std::make_shared<const tenancy::Snapshot>(), config_,
                      clock_.Now()),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("tenants are not known yet")));
}

TEST_F(ExplainTest, AsksNoRateAndTellsNoStore) {
  TenantNamed("blue")->set_limits_id("slow");
  auto* slow = Add(v1::KIND_LIMITS, "slow")->mutable_limits();
  slow->set_samples_per_second(1);
  slow->set_samples_burst(1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Why("sender", "", UpOf("blue")).refusal(), "");
  }
  EXPECT_THAT(store_.TakeSeen(), IsEmpty());
  EXPECT_EQ(Write("sender", BodyOf({"blue"})).status, 204);
}

TEST_F(ExplainTest, AWriteDoesWhatItSays) {
  AddStripping();
  TenantNamed("green")->set_upstream_id("shared");
  auto* enforced = TenantNamed("green")->mutable_enforced_labels();
  (*enforced)["namespace"] = "g";
  (*enforced)["zone"] = "z";
  const Labels all[] = {
      kUp,
      {{"__name__", "up"}, {"job", "red"}},
      {{"__name__", "up"}, {"job", "green"}},
      {{"__name__", "up"}, {"job", "blue"}},
      UpOf("blue"),
      UpOf("g"),
      {{"__name__", "up"}, {"namespace", "red"}, {"zone", "z"}},
      {{"__name__", "up"}, {"job", ""}},
      {{"__name__", ""}},
      {{"a", "b"}},
  };
  int accepted = 0;
  for (const char* binding :
       {"sender", "strip", "only-red", "every", "reader"}) {
    for (const Labels& labels : all) {
      const auto why = Why(binding, "", labels);
      SCOPED_TRACE(absl::StrCat(binding, ": ", why.ShortDebugString()));
      const int status = Write(binding, Compressed(Message({labels}))).status;
      const auto arrived = Arrived();
      EXPECT_EQ(status == 204, why.refusal().empty());
      if (!why.refusal().empty()) {
        EXPECT_THAT(arrived, IsEmpty());
        continue;
      }
      std::vector<std::string> told;
      for (const auto& [name, value] : why.labels()) {
        told.push_back(absl::StrCat(name, "=", value));
      }
      std::sort(told.begin(), told.end());
      // The shared store is not told of a tenant.
      EXPECT_THAT(
          arrived,
          ElementsAre(Pair(why.upstream_id() == "shared" ? "" : why.tenant_id(),
                           ElementsAre(absl::StrJoin(told, ",")))));
      ++accepted;
    }
  }
  EXPECT_GT(accepted, 10);
}

}  // namespace
}  // namespace insula::ingest_gateway
