#include "libs/auth/principal_facts.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/auth/caller.h"
#include "libs/status/status_matchers.h"

namespace insula::auth {
namespace {

namespace v1 = ::insula::registry::v1;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using enum absl::StatusCode;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

v1::Object Object(const std::string& text) {
  v1::Object object;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &object))
      << text;
  return object;
}

v1::Object Tenant(const std::string& id) {
  return Object(
      absl::StrCat("meta { kind: KIND_TENANT id: '", id, "' } tenant {}"));
}

v1::Object Binding(const std::string& id, const std::string& spec) {
  return Object(absl::StrCat("meta { kind: KIND_BINDING id: '", id,
                             "' } binding { ", spec, " }"));
}

std::string JwtFact(const std::string& claim, const std::string& value,
                    const std::string& more = "") {
  return absl::StrCat("jwt { issuer: 'https://id' claim: '", claim,
                      "' value: '", value, "' ", more, "} ");
}

std::shared_ptr<const tenancy::Snapshot> With(
    const std::vector<v1::Object>& bindings) {
  tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
  for (const char* id : {"red", "blue", "green"}) {
    EXPECT_THAT(builder.Put(Tenant(id)), IsOk());
  }
  EXPECT_THAT(builder.Put(Object("meta { kind: KIND_CLAIM_RULE id: 'rule' } "
                                 "claim_rule { label: 'namespace' }")),
              IsOk());
  for (const v1::Object& object : bindings) {
    EXPECT_THAT(builder.Put(object), IsOk());
  }
  return std::move(builder).Build(1, "epoch");
}

using Attributes =
    std::vector<std::pair<std::string, std::vector<std::string>>>;

Principal Jwt(Attributes attributes) {
  Principal principal;
  principal.method = "jwt";
  principal.issuer = "https://id";
  principal.name = "ann";
  principal.attributes = std::move(attributes);
  return principal;
}

std::vector<std::string> Ids(const tenancy::Snapshot& snapshot,
                             const Principal& principal) {
  std::vector<std::string> ids;
  const auto bindings = BindingsOf(snapshot, principal);
  if (!bindings.ok()) return {bindings.status().ToString()};
  for (const tenancy::Binding* binding : *bindings) ids.push_back(binding->id);
  return ids;
}

constexpr char kRed[] = "tenant_ids: 'red' roles: ROLE_READ ";

TEST(PrincipalFactsTest, AJwtIsKnownByItsClaims) {
  const auto snapshot =
      With({Binding("by-sub", JwtFact("sub", "ann") + kRed),
            Binding("by-group", JwtFact("groups", "team-a") + kRed),
            Binding("other-group", JwtFact("groups", "team-c") + kRed),
            Binding("other-issuer",
                    absl::StrCat("jwt { issuer: 'https://other' claim: 'sub' "
                                 "value: 'ann' } ",
                                 kRed))});
  EXPECT_THAT(Ids(*snapshot, Jwt({{"sub", {"ann"}},
                                  {"groups", {"team-b", "team-a", "team-a"}}})),
              ElementsAre("by-group", "by-sub"));
  EXPECT_THAT(Ids(*snapshot, Jwt({{"sub", {"team-a"}}})),
              ElementsAre(HasSubstr("no binding names the jwt principal 'ann' "
                                    "of https://id")));
}

TEST(PrincipalFactsTest, RequiredClaimsMustAllBeThere) {
  const auto snapshot = With(
      {Binding("b", JwtFact("sub", "ann",
                            "required_claims { key: 'org' value: 'red' } "
                            "required_claims { key: 'mfa' value: 'true' }") +
                        kRed)});
  EXPECT_THAT(
      Ids(*snapshot,
          Jwt({{"sub", {"ann"}}, {"org", {"blue", "red"}}, {"mfa", {"true"}}})),
      ElementsAre("b"));
  for (const Attributes& lacking : std::vector<Attributes>{
           {{"sub", {"ann"}}},
           {{"sub", {"ann"}}, {"org", {"red"}}},
           {{"sub", {"ann"}}, {"org", {"blue"}}, {"mfa", {"true"}}},
           {{"sub", {"ann"}}, {"org", {"redd"}}, {"mfa", {"true"}}}}) {
    EXPECT_THAT(BindingsOf(*snapshot, Jwt(lacking)),
                StatusIs(kPermissionDenied, HasSubstr("required claims")));
  }
}

TEST(PrincipalFactsTest, AKeystoneTokenIsKnownByItsProject) {
  const auto snapshot = With(
      {Binding("by-id",
               absl::StrCat("keystone { auth_url: 'https://k' project_id: "
                            "'p1' } ",
                            kRed)),
       Binding("by-role",
               absl::StrCat("keystone { auth_url: 'https://k' project_id: "
                            "'p1' role: 'admin' } ",
                            kRed)),
       Binding("by-name",
               absl::StrCat("keystone { auth_url: 'https://k' project_name: "
                            "'web' project_domain_id: 'd' role: 'member' } ",
                            kRed))});
  Principal principal;
  principal.method = "keystone";
  principal.issuer = "https://k";
  principal.name = "user-1";
  principal.attributes = {{"project_id", {"p1"}},
                          {"project_name", {"web"}},
                          {"project_domain_id", {"d"}},
                          {"roles", {"member", "reader"}}};
  EXPECT_THAT(Ids(*snapshot, principal), ElementsAre("by-id", "by-name"));
  principal.attributes[3].second = {"admin"};
  EXPECT_THAT(Ids(*snapshot, principal), ElementsAre("by-id", "by-role"));
  // Another domain's project of that name.
  principal.attributes = {{"project_id", {"p2"}},
                          {"project_name", {"web"}},
                          {"project_domain_id", {"e"}},
                          {"roles", {"member"}}};
  EXPECT_THAT(BindingsOf(*snapshot, principal), StatusIs(kPermissionDenied));
  // An unscoped token.
  principal.attributes = {{"roles", {"admin"}}};
  EXPECT_THAT(BindingsOf(*snapshot, principal), StatusIs(kPermissionDenied));
  principal.issuer = "https://other";
  principal.attributes = {{"project_id", {"p1"}}};
  EXPECT_THAT(BindingsOf(*snapshot, principal), StatusIs(kPermissionDenied));
}

TEST(PrincipalFactsTest, OthersAreKnownByTheirNames) {
  const auto snapshot = With(
      {Binding("account", absl::StrCat("kubernetes { cluster: 'c' user: "
                                       "'system:serviceaccount:a:b' } ",
                                       kRed)),
       Binding(
           "group",
           absl::StrCat("kubernetes { cluster: 'c' group: 'devs' } ", kRed)),
       Binding("uri",
               absl::StrCat("certificate { uri: 'spiffe://a/b' } ", kRed)),
       Binding("dns", absl::StrCat("certificate { dns: 'a.example' } ", kRed)),
       Binding("user", absl::StrCat("basic { user: 'ann' } ", kRed))});
  Principal kube;
  kube.method = "kubernetes";
  kube.issuer = "c";
  kube.name = "system:serviceaccount:a:b";
  kube.attributes = {{"groups", {"devs", "system:authenticated"}}};
  EXPECT_THAT(Ids(*snapshot, kube), ElementsAre("account", "group"));
  kube.issuer = "";
  EXPECT_THAT(BindingsOf(*snapshot, kube), StatusIs(kPermissionDenied));

  Principal certificate;
  certificate.method = "certificate";
  certificate.attributes = {{"uri", {"spiffe://a/b"}}, {"dns", {"A.example"}}};
  EXPECT_THAT(Ids(*snapshot, certificate), ElementsAre("dns", "uri"));
  certificate.attributes = {{"dns", {"spiffe://a/b"}}};
  EXPECT_THAT(BindingsOf(*snapshot, certificate), StatusIs(kPermissionDenied));

  Principal basic;
  basic.method = "basic";
  basic.name = "ann";
  EXPECT_THAT(Ids(*snapshot, basic), ElementsAre("user"));
  basic.name = "Ann";
  EXPECT_THAT(BindingsOf(*snapshot, basic), StatusIs(kPermissionDenied));

  Principal unknown;
  unknown.method = "telepathy";
  unknown.name = "ann";
  EXPECT_THAT(BindingsOf(*snapshot, unknown), StatusIs(kPermissionDenied));
}

TEST(PrincipalFactsTest, APrincipalHasOnlySoManyFacts) {
  const auto snapshot = With({Binding("b", JwtFact("groups", "g0") + kRed)});
  std::vector<std::string> groups;
  for (size_t i = 0; i < kMaxFacts; ++i) {
    groups.push_back(absl::StrCat("g", i));
  }
  EXPECT_THAT(Ids(*snapshot, Jwt({{"groups", groups}})), ElementsAre("b"));
  groups.push_back("one-more");
  EXPECT_THAT(BindingsOf(*snapshot, Jwt({{"groups", groups}})),
              StatusIs(kPermissionDenied, HasSubstr("may have 512")));
}

TEST(PrincipalFactsTest, WhatAPrincipalSaysIsShownEscapedAndCut) {
  Principal principal = Jwt({});
  principal.name = "a\n" + std::string(1000, 'x');
  const auto refused = BindingsOf(*With({}), principal);
  EXPECT_THAT(refused, StatusIs(kPermissionDenied, HasSubstr("'a\\nxxx")));
  EXPECT_LT(refused.status().message().size(), 500u);
}

// What bindings make of a principal.

absl::StatusOr<Caller> Call(
    const std::vector<v1::Object>& bindings, const std::string& tenant = "",
    v1::Role role = v1::ROLE_READ,
    const Principal& principal = Jwt({{"groups", {"a", "b"}}})) {
  std::optional<tenancy::TenantId> named;
  if (!tenant.empty()) named = *tenancy::TenantId::Parse(tenant);
  return CallerWithPrincipal(With(bindings), principal, named, "X-Tenant", role,
                             kNow);
}

const std::string kA = JwtFact("groups", "a");
const std::string kB = JwtFact("groups", "b");

TEST(CallerWithPrincipalTest, OneBindingIsTreatedAsThatOfAToken) {
  const auto caller = Call({Binding("one", kA + kRed)});
  ASSERT_THAT(caller, IsOk());
  EXPECT_EQ(caller->tenant->id.value(), "red");
  EXPECT_EQ(caller->identity, "binding/one");
  EXPECT_THAT(Call({Binding("one", kA + kRed)}, "blue"),
              StatusIs(kPermissionDenied, HasSubstr("may not act for")));
  EXPECT_THAT(Call({Binding("one", kA + kRed)}, "", v1::ROLE_WRITE),
              StatusIs(kPermissionDenied, HasSubstr("lacks ROLE_WRITE")));
  EXPECT_THAT(Call({Binding("one", kA + kRed + "not_after { seconds: 1 }")}),
              StatusIs(kUnauthenticated, HasSubstr("binding 'one' expired")));
}

TEST(CallerWithPrincipalTest, AnExpiredProofIsNone) {
  Principal principal = Jwt({{"groups", {"a"}}});
  principal.expires = kNow;
  EXPECT_THAT(Call({Binding("one", kA + kRed)}, "", v1::ROLE_READ, principal),
              StatusIs(kUnauthenticated, HasSubstr("expired")));
  principal.expires = kNow + absl::Nanoseconds(1);
  EXPECT_THAT(Call({Binding("one", kA + kRed)}, "", v1::ROLE_READ, principal),
              IsOk());
}

TEST(CallerWithPrincipalTest, SeveralBindingsGiveAChoice) {
  const std::vector<v1::Object> two = {
      Binding("one", kA + kRed),
      Binding("two", kB + "tenant_ids: 'blue' roles: ROLE_READ")};
  EXPECT_THAT(Call(two), StatusIs(kInvalidArgument,
                                  HasSubstr("name one in header X-Tenant")));
  const auto blue = Call(two, "blue");
  ASSERT_THAT(blue, IsOk());
  EXPECT_EQ(blue->identity, "binding/two");
  EXPECT_EQ(Call(two, "red")->identity, "binding/one");
  EXPECT_THAT(Call(two, "green"),
              StatusIs(kPermissionDenied, HasSubstr("none of the 2 bindings")));
  EXPECT_THAT(Call(two, "red", v1::ROLE_WRITE),
              StatusIs(kPermissionDenied, HasSubstr("ROLE_WRITE")));
}

TEST(CallerWithPrincipalTest, BindingsOfTheSameTenantLeaveNoChoice) {
  const auto caller =
      Call({Binding("two", kA + kRed), Binding("one", kB + kRed)});
  ASSERT_THAT(caller, IsOk());
  EXPECT_EQ(caller->identity, "binding/one");
}

TEST(CallerWithPrincipalTest, OnlyBindingsThatServeAreCounted) {
  const auto caller =
      Call({Binding("one", kA + "tenant_ids: 'blue' roles: ROLE_WRITE"),
            Binding("two", kB + kRed)});
  ASSERT_THAT(caller, IsOk());
  EXPECT_EQ(caller->tenant->id.value(), "red");
  const auto other =
      Call({Binding("one", kA + "tenant_ids: 'blue' roles: ROLE_READ "
                                "not_after { seconds: 1800000000 }"),
            Binding("two", kB + kRed)});
  ASSERT_THAT(other, IsOk());
  EXPECT_EQ(other->identity, "binding/two");
}

TEST(CallerWithPrincipalTest, AClaimRuleSharesItsWritersWithNobody) {
  const std::string shared =
      "tenant_ids: 'red' roles: ROLE_WRITE claim_rule_id: 'rule'";
  const auto alone = Call({Binding("one", kA + shared)}, "", v1::ROLE_WRITE);
  ASSERT_THAT(alone, IsOk());
  EXPECT_NE(alone->claim_rule, nullptr);
  EXPECT_THAT(
      Call({Binding("one", kA + shared),
            Binding("two", kB + "tenant_ids: 'red' roles: ROLE_WRITE")},
           "", v1::ROLE_WRITE),
      StatusIs(kPermissionDenied, HasSubstr("binding 'one' has a claim rule")));
}

TEST(CallerWithPrincipalTest, AnAccessReviewIsTheLastResort) {
  const std::string reviewed =
      "kubernetes { group: 'all' access { verb: 'get' group: 'g' resource: "
      "'namespace' subresource: 'metrics' } } every_tenant: true roles: "
      "ROLE_READ";
  Principal principal;
  principal.method = "kubernetes";
  principal.name = "u";
  principal.attributes = {{"groups", {"all", "own"}}};
  const std::vector<v1::Object> bindings = {
      Binding("a-reviewed", reviewed),
      Binding("b-own", absl::StrCat("kubernetes { group: 'own' } ", kRed))};
  const auto own = Call(bindings, "red", v1::ROLE_READ, principal);
  ASSERT_THAT(own, IsOk());
  EXPECT_EQ(own->identity, "binding/b-own");
  EXPECT_FALSE(QuestionAbout(*own)->has_value());

  const auto other = Call(bindings, "blue", v1::ROLE_READ, principal);
  ASSERT_THAT(other, IsOk());
  const auto question = QuestionAbout(*other);
  ASSERT_THAT(question, IsOk());
  ASSERT_TRUE(question->has_value());
  EXPECT_EQ((*question)->namespace_name, "blue");
  EXPECT_EQ((*question)->verb, "get");
  EXPECT_EQ((*question)->group, "g");
  EXPECT_EQ((*question)->resource, "namespace");
  EXPECT_EQ((*question)->subresource, "metrics");
}

TEST(CallerWithPrincipalTest, AReviewNeedsOneTenant) {
  Principal principal;
  principal.method = "kubernetes";
  principal.name = "u";
  const auto caller =
      Call({Binding("b",
                    "kubernetes { user: 'u' access { verb: 'create' "
                    "resource: 'pods' } } tenant_ids: 'red' roles: "
                    "ROLE_WRITE claim_rule_id: 'rule'")},
           "", v1::ROLE_WRITE, principal);
  ASSERT_THAT(caller, IsOk());
  EXPECT_THAT(QuestionAbout(*caller),
              StatusIs(kPermissionDenied, HasSubstr("of no one tenant")));
}

}  // namespace
}  // namespace insula::auth
