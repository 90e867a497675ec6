#include "libs/tenancy/claims.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace insula::tenancy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

namespace v1 = ::insula::registry::v1;

v1::ClaimRule Rule(const std::string& text) {
  v1::ClaimRule rule;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &rule))
      << text;
  return rule;
}

// "TENANT by SOURCE", with "!" before those that are not allowed.
std::vector<std::string> Found(
    const Claims& claims, const std::map<std::string, std::string>& series) {
  std::vector<absl::string_view> values;
  for (const std::string& label : claims.deciding_labels()) {
    const auto at = series.find(label);
    values.push_back(at == series.end() ? absl::string_view() : at->second);
  }
  std::vector<Claim> found;
  claims.Find(values, &found);
  std::vector<std::string> texts;
  for (const Claim& claim : found) {
    texts.push_back(absl::StrCat(claim.allowed ? "" : "!", claim.tenant_id,
                                 " by ", claims.SourceText(claim)));
  }
  return texts;
}
std::vector<std::string> Found(
    const std::string& rule, const std::map<std::string, std::string>& series) {
  return Found(Claims(Rule(rule)), series);
}

TEST(ClaimsTest, EachTenantLabelNamesATenantOnce) {
  const std::string rule = "label: 'team' labels: 'owner' labels: 'project'";
  EXPECT_THAT(Found(rule, {{"team", "red"}, {"owner", "blue"}}),
              ElementsAre("red by label team", "blue by label owner"));
  EXPECT_THAT(Found(rule, {{"team", "red"}, {"project", "red"}}),
              ElementsAre("red by label team"));
  EXPECT_THAT(Found(rule, {{"team", ""}, {"owner", "blue"}}),
              ElementsAre("blue by label owner"));
  EXPECT_THAT(Found(rule, {{"zone", "red"}}), IsEmpty());
}

TEST(ClaimsTest, DefaultsTakeWhatNothingElseSpeaksOf) {
  const std::string rule =
      "label: 'team' default_tenant_id: 'a' default_tenant_ids: 'b'";
  EXPECT_THAT(Found(rule, {}), ElementsAre("a by default", "b by default"));
  EXPECT_THAT(Found(rule, {{"team", ""}}),
              ElementsAre("a by default", "b by default"));
  EXPECT_THAT(Found(rule, {{"team", "red"}}), ElementsAre("red by label team"));
  // What is no tenant id is refused by who asks, and is not the default's.
  EXPECT_THAT(Found(rule, {{"team", "a|b"}}), ElementsAre("a|b by label team"));
}

TEST(ClaimsTest, FullReplicationAddsTheDefaults) {
  const std::string rule =
      "label: 'team' default_tenant_id: 'a' default_tenant_ids: 'b' "
      "full_replication: true";
  EXPECT_THAT(Found(rule, {{"team", "red"}}),
              ElementsAre("red by label team", "a by default", "b by default"));
  EXPECT_THAT(Found(rule, {{"team", "b"}}),
              ElementsAre("b by label team", "a by default"));
}

TEST(ClaimsTest, ValuesStandForTenants) {
  const std::string rule =
      "values { label: 'ns' tenant_ids { key: 'shop' value: 'red' } tenant_ids "
      "{ key: 'gone' value: '' } } values { label: 'zone' tenant_ids { key: "
      "'z' value: 'blue' } } default_tenant_id: 'a'";
  EXPECT_THAT(Found(rule, {{"ns", "shop"}}), ElementsAre("red by value of ns"));
  EXPECT_THAT(Found(rule, {{"ns", "shop"}, {"zone", "z"}}),
              ElementsAre("red by value of ns", "blue by value of zone"));
  EXPECT_THAT(Found(rule, {{"ns", "other"}}), ElementsAre("a by default"));
  EXPECT_THAT(Found(rule, {{"ns", "gone"}}), IsEmpty());
}

TEST(ClaimsTest, SelectionsSelectByAllOfTheirMatchers) {
  const std::string rule =
      "selections { selector: 'up{job=~\"a|b\",zone!=\"x\"}' tenant_ids: 'red' "
      "tenant_ids: 'blue' } selections { selector: '{job=\"b\"}' tenant_ids: "
      "'blue' tenant_ids: 'green' } selections { selector: 'gone' } "
      "default_tenant_id: 'a'";
  EXPECT_THAT(Found(rule, {{"__name__", "up"}, {"job", "a"}}),
              ElementsAre("red by selection up{job=~\"a|b\",zone!=\"x\"}",
                          "blue by selection up{job=~\"a|b\",zone!=\"x\"}"));
  EXPECT_THAT(Found(rule, {{"__name__", "up"}, {"job", "b"}}),
              ElementsAre("red by selection up{job=~\"a|b\",zone!=\"x\"}",
                          "blue by selection up{job=~\"a|b\",zone!=\"x\"}",
                          "green by selection {job=\"b\"}"));
  EXPECT_THAT(Found(rule, {{"__name__", "up"}, {"job", "a"}, {"zone", "x"}}),
              ElementsAre("a by default"));
  EXPECT_THAT(Found(rule, {{"__name__", "gone"}}), IsEmpty());
}

TEST(ClaimsTest, LabelsNameAllowedTenantsOnly) {
  const std::string rule =
      "label: 'team' allowed_tenant_ids: 'red' allowed_tenant_ids: 'b' "
      "default_tenant_id: 'a' values { label: 'ns' tenant_ids { key: 'x' "
      "value: 'blue' } }";
  EXPECT_THAT(Found(rule, {{"team", "red"}}), ElementsAre("red by label team"));
  EXPECT_THAT(Found(rule, {{"team", "green"}}),
              ElementsAre("!green by label team"));
  // What the rule itself gives to a tenant needs no permission.
  EXPECT_THAT(Found(rule, {{"team", "blue"}, {"ns", "x"}}),
              ElementsAre("blue by value of ns"));
  EXPECT_THAT(Found(rule, {}), ElementsAre("a by default"));
}

TEST(ClaimsTest, ItsDecidingLabelsAreThoseItLooksAtEachOnce) {
  const Claims claims(Rule(
      "label: 'team' labels: 'owner' remove_label: true values { label: 'ns' "
      "tenant_ids { key: 'x' value: 'a' } } selections { selector: "
      "'up{team=\"x\",job=\"y\"}' tenant_ids: 'a' }"));
  EXPECT_THAT(claims.deciding_labels(),
              UnorderedElementsAre("team", "owner", "ns", "__name__", "job"));
  EXPECT_THAT(claims.removed_labels(), ElementsAre("team", "owner"));
}

TEST(ClaimsTest, ASelectorThatCantBeReadLeavesNothingToTheDefaults) {
  EXPECT_THAT(Found("selections { selector: '{' tenant_ids: 'red' } "
                    "default_tenant_id: 'a'",
                    {{"job", "x"}}),
              IsEmpty());
}

TEST(LazyClaimsTest, AreMadeOnce) {
  const v1::ClaimRule rule = Rule("label: 'team'");
  const LazyClaims lazy;
  const Claims& claims = lazy.Get(rule);
  EXPECT_EQ(&lazy.Get(rule), &claims);
  EXPECT_THAT(claims.deciding_labels(), ElementsAre("team"));
}

}  // namespace
}  // namespace insula::tenancy
