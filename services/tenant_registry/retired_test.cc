#include "services/tenant_registry/retired.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"

namespace insula::tenant_registry {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Labels = std::map<std::string, std::string>;

StoreIdentity OrgId(const std::string& org_id) {
  StoreIdentity identity;
  identity.org_id = org_id;
  return identity;
}
StoreIdentity With(Labels labels) {
  StoreIdentity identity;
  identity.labels = std::move(labels);
  return identity;
}
absl::Time At(int64_t second) { return absl::FromUnixSeconds(second); }
Retirement Of(StoreIdentity identity, const std::string& id, int64_t second) {
  FormerTenant former;
  former.id = id;
  former.uid = std::string(16, id[0]);
  former.at = At(second);
  return {std::move(identity), std::move(former)};
}

std::vector<std::string> FormersOf(const RetiredIdentities& retired,
                                   const StoreIdentity& wanted) {
  std::vector<std::string> ids;
  retired.ForEachOverlap(
      wanted, [&](const StoreIdentity& identity, const FormerTenant& former) {
        EXPECT_TRUE(Overlap(wanted, identity));
        ids.push_back(former.id);
      });
  return ids;
}

v1::Object Tenant(const std::string& org_id, const Labels& labels,
                  const std::string& upstream, const std::string& target) {
  v1::Object object;
  object.mutable_meta()->set_id("acme");
  v1::Tenant* const tenant = object.mutable_tenant();
  tenant->set_org_id(org_id);
  tenant->set_upstream_id(upstream);
  tenant->set_rule_target_id(target);
  tenant->mutable_enforced_labels()->insert(labels.begin(), labels.end());
  return object;
}

TEST(FootprintTest, IsWhatAStoreMayHaveKnownTheTenantBy) {
  EXPECT_THAT(FootprintOf(Tenant("o", {{"a", "1"}}, "", "")), IsEmpty());
  EXPECT_THAT(FootprintOf(Tenant("", {}, "store", "")),
              ElementsAre(OrgId("acme")));
  EXPECT_THAT(FootprintOf(Tenant("o", {{"a", "1"}}, "", "rules")),
              UnorderedElementsAre(OrgId("o"), With({{"a", "1"}})));
}

TEST(UsedByTest, IsWhatUpstreamAndRuleTargetIsolateBy) {
  std::map<ObjectKey, v1::Object> objects;
  const auto isolate = [&](v1::Upstream::Isolation upstream,
                           v1::Upstream::Isolation target) {
    objects[{v1::KIND_UPSTREAM, "s"}].mutable_upstream()->set_isolation(
        upstream);
    objects[{v1::KIND_RULE_TARGET, "s"}].mutable_rule_target()->set_isolation(
        target);
  };
  const auto find = [&](const ObjectKey& key) -> const v1::Object* {
    const auto it = objects.find(key);
    return it == objects.end() ? nullptr : &it->second;
  };
  const v1::Object both = Tenant("", {{"a", "1"}}, "s", "s");
  isolate(v1::Upstream::ISOLATION_HEADER, v1::Upstream::ISOLATION_HEADER);
  EXPECT_THAT(UsedBy(both, find), ElementsAre(OrgId("acme")));
  isolate(v1::Upstream::ISOLATION_LABEL, v1::Upstream::ISOLATION_LABEL);
  EXPECT_THAT(UsedBy(both, find), ElementsAre(With({{"a", "1"}})));
  isolate(v1::Upstream::ISOLATION_LABEL, v1::Upstream::ISOLATION_HEADER);
  EXPECT_THAT(UsedBy(both, find),
              UnorderedElementsAre(OrgId("acme"), With({{"a", "1"}})));
  EXPECT_THAT(UsedBy(Tenant("", {{"a", "1"}}, "s", ""), find),
              ElementsAre(With({{"a", "1"}})));
  EXPECT_THAT(UsedBy(Tenant("", {{"a", "1"}}, "", ""), find), IsEmpty());
}

TEST(OverlapTest, LabelsOverlapUnlessASharedOneDiffers) {
  EXPECT_TRUE(Overlap(OrgId("a"), OrgId("a")));
  EXPECT_FALSE(Overlap(OrgId("a"), OrgId("b")));
  EXPECT_FALSE(Overlap(OrgId("a"), With({{"a", "1"}})));
  EXPECT_TRUE(Overlap(With({{"a", "1"}}), With({{"a", "1"}})));
  // Who reads {a="1"} reads what has b="2" as well, and the other way around a
  // former tenant may have written b="2" of itself.
  EXPECT_TRUE(Overlap(With({{"a", "1"}}), With({{"a", "1"}, {"b", "2"}})));
  EXPECT_TRUE(Overlap(With({{"a", "1"}, {"b", "2"}}), With({{"a", "1"}})));
  EXPECT_FALSE(
      Overlap(With({{"a", "1"}, {"b", "2"}}), With({{"a", "1"}, {"b", "3"}})));
  EXPECT_FALSE(Overlap(With({{"a", "1"}}), With({{"b", "1"}})));
}

TEST(RetiredIdentitiesTest, FindsWhoHadIt) {
  RetiredIdentities retired;
  retired.Take(Of(OrgId("x"), "acme", 1));
  retired.Take(Of(With({{"team", "x"}}), "blue", 1));
  retired.Take(Of(With({{"team", "x"}, {"zone", "1"}}), "cyan", 1));
  retired.Take(Of(With({{"team", "y"}, {"zone", "1"}}), "dark", 1));
  retired.Take(Of(With({{"zone", "1"}}), "east", 1));

  EXPECT_THAT(FormersOf(retired, OrgId("x")), ElementsAre("acme"));
  EXPECT_THAT(FormersOf(retired, OrgId("y")), IsEmpty());
  EXPECT_THAT(FormersOf(retired, With({{"team", "x"}})),
              UnorderedElementsAre("blue", "cyan"));
  EXPECT_THAT(FormersOf(retired, With({{"team", "x"}, {"zone", "1"}})),
              UnorderedElementsAre("blue", "cyan", "east"));
  EXPECT_THAT(FormersOf(retired, With({{"team", "z"}, {"zone", "1"}})),
              ElementsAre("east"));
  EXPECT_THAT(FormersOf(retired, With({{"team", "y"}, {"zone", "2"}})),
              IsEmpty());
  EXPECT_THAT(FormersOf(retired, With({{"other", "1"}})), IsEmpty());
}

TEST(RetiredIdentitiesTest, AnIdentityIsTheLastOnes) {
  RetiredIdentities retired;
  retired.Take(Of(With({{"team", "x"}}), "acme", 1));
  retired.Take(Of(With({{"team", "x"}}), "blue", 2));
  EXPECT_EQ(retired.size(), 1u);
  EXPECT_THAT(FormersOf(retired, With({{"team", "x"}})), ElementsAre("blue"));
  retired.Take({With({{"team", "x"}}), std::nullopt});
  EXPECT_EQ(retired.size(), 0u);
  EXPECT_THAT(FormersOf(retired, With({{"team", "x"}})), IsEmpty());
  retired.Take({With({{"team", "x"}}), std::nullopt});
  EXPECT_EQ(retired.size(), 0u);
}

TEST(RetiredIdentitiesTest, ForgetsTheOldestByAgeAndByNumber) {
  RetiredIdentities retired;
  for (int i = 1; i <= 10; ++i) {
    retired.Take(Of(With({{"team", absl::StrCat(i)}}), "acme", i));
  }
  EXPECT_EQ(retired.ForgetUntil(At(1), 10), absl::InfinitePast());
  EXPECT_EQ(retired.ForgetUntil(At(4), 10), At(3));
  EXPECT_EQ(retired.ForgetUntil(At(1), 4), At(6));
  EXPECT_EQ(retired.ForgetUntil(At(9), 4), At(8));
  EXPECT_EQ(retired.ForgetUntil(absl::InfinitePast(), 0), At(10));
  retired.Forget(At(6));
  EXPECT_EQ(retired.size(), 4u);
  EXPECT_THAT(FormersOf(retired, With({{"team", "6"}})), IsEmpty());
  EXPECT_THAT(FormersOf(retired, With({{"team", "7"}})), ElementsAre("acme"));
}

}  // namespace
}  // namespace insula::tenant_registry
