#include "libs/tenancy/resolve.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/status/status_matchers.h"

namespace insula::tenancy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

// A registry with a shared store and a tenant red, who reads and writes.
class ResolveTest : public testing::Test {
 protected:
  ResolveTest() {
    Put("KIND_UPSTREAM", "store",
        "upstream { write_url: 'http://h/w' query_url: 'http://h/q' "
        "isolation: ISOLATION_LABEL }");
    Put("KIND_UPSTREAM", "apart",
        "upstream { write_url: 'http://m/w' query_url: 'http://m/q' "
        "isolation: ISOLATION_HEADER }");
    Tenant("red");
    Binding("b", "tenant_ids: 'red' roles: ROLE_READ roles: ROLE_WRITE");
  }

  void Put(absl::string_view kind, absl::string_view id,
           absl::string_view spec) {
    v1::Object object;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
        absl::StrCat("meta { kind: ", kind, " id: '", id, "' uid: 'u-", id,
                     "' } ", spec),
        &object))
        << spec;
    SnapshotBuilder builder(*snapshot_);
    builder.PutChecked(object);
    snapshot_ = std::move(builder).Build(++revision_, "epoch");
  }
  void Tenant(absl::string_view id,
              absl::string_view spec = "upstream_id: 'store'") {
    Put("KIND_TENANT", id,
        absl::StrCat("tenant { enforced_labels { key: 'ns' value: '", id,
                     "' } ", spec, " }"));
  }
  void Binding(absl::string_view id, absl::string_view spec, char token = 't') {
    Put("KIND_BINDING", id,
        absl::StrCat("binding { token_sha256: '", std::string(32, token), "' ",
                     spec, " }"));
  }

  absl::StatusOr<v1::ResolveResponse> Ask(const std::string& request,
                                          ResolveOptions options = {}) {
    v1::ResolveRequest parsed;
    EXPECT_TRUE(
        google::protobuf::TextFormat::ParseFromString(request, &parsed));
    options.now = kNow;
    return Resolve(*snapshot_, parsed, options);
  }
  // Of the first tenant.
  v1::ResolvedTenant First(const std::string& request = "binding_id: 'b'") {
    auto response = Ask(request);
    EXPECT_THAT(response, IsOk());
    if (!response.ok() || response->tenants().empty()) return {};
    return response->tenants(0);
  }

  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<Snapshot>();
  int64_t revision_ = 0;
};

TEST_F(ResolveTest, ATokenIsItsBindingAndTheTenantsOfThat) {
  const auto response =
      Ask(absl::StrCat("token_sha256: '", std::string(32, 't'), "'"));

  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->revision(), revision_);
  EXPECT_EQ(response->binding_id(), "b");
  EXPECT_THAT(response->roles(), ElementsAre(v1::ROLE_WRITE, v1::ROLE_READ));
  EXPECT_FALSE(response->expired());
  EXPECT_FALSE(response->has_not_after());
  EXPECT_EQ(response->tenant_count(), 1);
  ASSERT_THAT(response->tenants(), SizeIs(1));
  const v1::ResolvedTenant& red = response->tenants(0);
  EXPECT_EQ(red.id(), "red");
  EXPECT_EQ(red.uid(), "u-red");
  EXPECT_TRUE(red.may_read());
  EXPECT_TRUE(red.may_write());
  EXPECT_THAT(red.refusals(), IsEmpty());
  EXPECT_EQ(red.org_id(), "red");
  EXPECT_EQ(red.enforced_labels().at("ns"), "red");
  EXPECT_EQ(red.upstream_id(), "store");
  EXPECT_EQ(red.write_url(), "http://h/w");
  EXPECT_EQ(red.query_url(), "http://h/q");
  EXPECT_THAT(red.visible(), ElementsAre(R"({ns="red"})"));
}

TEST_F(ResolveTest, ATenantByItselfHasAllRoles) {
  const auto response = Ask("tenant_id: 'red'");

  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->binding_id(), "");
  EXPECT_THAT(response->roles(), IsEmpty());
  EXPECT_EQ(response->tenant_count(), 1);
  EXPECT_TRUE(response->tenants(0).may_read());
  EXPECT_TRUE(response->tenants(0).may_write());
}

TEST_F(ResolveTest, WhatIsNotThereIsNotFound) {
  EXPECT_THAT(Ask("binding_id: 'c'"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("Binding/c")));
  EXPECT_THAT(Ask("tenant_id: 'blue'"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("Tenant/blue")));
  EXPECT_THAT(Ask(absl::StrCat("token_sha256: '", std::string(32, 'x'), "'")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no binding")));
}

TEST_F(ResolveTest, ATokenInPlaceOfItsHashIsRefusedAndNotTold) {
  const auto response = Ask("token_sha256: 'secret-token'");

  EXPECT_THAT(response, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("never the token")));
  EXPECT_THAT(std::string(response.status().message()),
              Not(HasSubstr("secret-token")));
}

TEST_F(ResolveTest, WhatCannotBeAnsweredIsRefusedWithField) {
  EXPECT_THAT(Ask(""), StatusIs(absl::StatusCode::kInvalidArgument,
                                StartsWith("subject: ")));
  EXPECT_THAT(
      Ask("binding_id: '/'"),
      StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("binding_id: ")));
  EXPECT_THAT(
      Ask("tenant_id: '..'"),
      StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("tenant_id: ")));
  EXPECT_THAT(Ask("tenant_id: 'red' max_tenants: 1001"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       StartsWith("max_tenants: ")));
  EXPECT_THAT(Ask("tenant_id: 'red' max_tenants: -1"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       StartsWith("max_tenants: ")));
}

TEST_F(ResolveTest, ARoleThatIsLackingIsARefusal) {
  Binding("b", "tenant_ids: 'red' roles: ROLE_WRITE");
  const v1::ResolvedTenant writer = First();
  EXPECT_FALSE(writer.may_read());
  EXPECT_TRUE(writer.may_write());
  EXPECT_THAT(writer.refusals(),
              ElementsAre("reads: binding b lacks ROLE_READ, add it to "
                          "Binding.roles"));
  EXPECT_THAT(writer.visible(), IsEmpty());

  Binding("b", "tenant_ids: 'red' roles: ROLE_READ");
  const v1::ResolvedTenant reader = First();
  EXPECT_TRUE(reader.may_read());
  EXPECT_FALSE(reader.may_write());
  EXPECT_THAT(reader.refusals(), ElementsAre(HasSubstr("lacks ROLE_WRITE")));
}

TEST_F(ResolveTest, ABindingIsVoidFromItsNotAfterOn) {
  const auto with_end = [this](absl::Time end) {
    Binding("b", absl::StrCat("tenant_ids: 'red' roles: ROLE_READ roles: "
                              "ROLE_WRITE not_after { seconds: ",
                              absl::ToUnixSeconds(end), " }"));
    return *Ask("binding_id: 'b'");
  };

  const v1::ResolveResponse in_time = with_end(kNow + absl::Seconds(1));
  EXPECT_FALSE(in_time.expired());
  EXPECT_EQ(in_time.not_after().seconds(), absl::ToUnixSeconds(kNow) + 1);
  EXPECT_TRUE(in_time.tenants(0).may_write());

  const v1::ResolveResponse late = with_end(kNow);
  EXPECT_TRUE(late.expired());
  EXPECT_FALSE(late.tenants(0).may_read());
  EXPECT_FALSE(late.tenants(0).may_write());
  EXPECT_THAT(late.tenants(0).refusals(),
              ElementsAre(StartsWith("binding b is void since 2026-")));
}

TEST_F(ResolveTest, TheStateOfATenantDecides) {
  const auto in_state = [this](absl::string_view state) {
    Tenant("red", absl::StrCat("upstream_id: 'store' state: ", state));
    return First();
  };

  const v1::ResolvedTenant read_only = in_state("STATE_READ_ONLY");
  EXPECT_EQ(read_only.state(), v1::Tenant::STATE_READ_ONLY);
  EXPECT_TRUE(read_only.may_read());
  EXPECT_FALSE(read_only.may_write());
  EXPECT_THAT(read_only.refusals(),
              ElementsAre(StartsWith("writes: the tenant is read-only")));
  for (const char* state : {"STATE_SUSPENDED", "STATE_DELETING", "77"}) {
    const v1::ResolvedTenant refused = in_state(state);
    EXPECT_FALSE(refused.may_read()) << state;
    EXPECT_FALSE(refused.may_write()) << state;
    EXPECT_THAT(refused.refusals(), ElementsAre(HasSubstr("Tenant.state")))
        << state;
    EXPECT_THAT(refused.visible(), IsEmpty()) << state;
  }
}

TEST_F(ResolveTest, WithoutAStoreNothingGoesAnywhere) {
  Tenant("red", "");
  EXPECT_THAT(First().refusals(),
              ElementsAre(HasSubstr("set Tenant.upstream_id")));
  Tenant("red", "upstream_id: 'gone'");
  const v1::ResolvedTenant gone = First();
  EXPECT_THAT(gone.refusals(),
              ElementsAre(StartsWith("there is no Upstream gone")));
  EXPECT_FALSE(gone.may_read());
  EXPECT_FALSE(gone.may_write());
  EXPECT_EQ(gone.upstream_id(), "gone");
}

TEST_F(ResolveTest, AStoreMayTakeReadsOrWritesAlone) {
  Put("KIND_UPSTREAM", "store",
      "upstream { query_url: 'http://h/q' isolation: ISOLATION_LABEL }");
  EXPECT_TRUE(First().may_read());
  EXPECT_FALSE(First().may_write());
  EXPECT_THAT(First().refusals(),
              ElementsAre(HasSubstr("set Upstream.write_url")));
  Put("KIND_UPSTREAM", "store",
      "upstream { write_url: 'http://h/w' isolation: ISOLATION_LABEL }");
  EXPECT_FALSE(First().may_read());
  EXPECT_TRUE(First().may_write());
  EXPECT_THAT(First().refusals(),
              ElementsAre(HasSubstr("set Upstream.query_url")));
}

TEST_F(ResolveTest, ASharedStoreDemandsEnforcedLabels) {
  Put("KIND_TENANT", "red", "tenant { upstream_id: 'store' }");
  const v1::ResolvedTenant red = First();
  EXPECT_FALSE(red.may_read());
  EXPECT_FALSE(red.may_write());
  EXPECT_THAT(red.refusals(),
              ElementsAre(HasSubstr("set Tenant.enforced_labels")));
}

TEST_F(ResolveTest, AStoreThatIsolatesByHeaderShowsAllOfAnOrgId) {
  Put("KIND_TENANT", "red", "tenant { upstream_id: 'apart' org_id: 'r' }");
  const v1::ResolvedTenant red = First();
  EXPECT_TRUE(red.may_read());
  EXPECT_TRUE(red.may_write());
  EXPECT_EQ(red.org_id(), "r");
  EXPECT_THAT(red.visible(), ElementsAre("{}"));
}

TEST_F(ResolveTest, WhatAnAccessGrantsIsVisible) {
  Tenant("blue");
  Put("KIND_ACCESS", "a",
      "access { tenant_id: 'red' selectors: 'up' source_tenant_ids: 'blue' "
      "}");
  const v1::ResolvedTenant red = First();
  EXPECT_THAT(red.visible(),
              ElementsAre(R"({ns="red"})", R"({__name__="up",ns="blue"})"));
  EXPECT_THAT(red.access_ids(), ElementsAre("a"));
  EXPECT_THAT(red.refusals(), IsEmpty());

  Tenant("blue", "upstream_id: 'apart'");
  EXPECT_TRUE(First().may_read());
  EXPECT_THAT(First().visible(), ElementsAre(R"({ns="red"})"));
  EXPECT_THAT(First().refusals(),
              ElementsAre(StartsWith("reads: Access/a: source tenant blue")));
}

TEST_F(ResolveTest, ByAccessAloneATenantWithoutOneMayNotRead) {
  Tenant("red", "upstream_id: 'store' read_scope: READ_SCOPE_ACCESS");
  EXPECT_FALSE(First().may_read());
  EXPECT_TRUE(First().may_write());
  EXPECT_THAT(First().refusals(), ElementsAre(HasSubstr("apply an Access")));
}

TEST_F(ResolveTest, LimitsAreThoseInEffect) {
  EXPECT_EQ(First().limits().max_label_names(), 30);
  EXPECT_EQ(First().limits().max_query_bytes(), 256 << 10);
  Put("KIND_LIMITS", "small",
      "limits { max_label_names: 7 samples_per_second: 5 }");
  Tenant("red", "upstream_id: 'store' limits_id: 'small'");
  EXPECT_EQ(First().limits().max_label_names(), 7);
  EXPECT_EQ(First().limits().samples_burst(), 50);
}

TEST_F(ResolveTest, AClaimRuleMustBeThere) {
  Binding("b",
          "tenant_ids: 'red' roles: ROLE_READ roles: ROLE_WRITE claim_rule_id: "
          "'r'");
  EXPECT_EQ(Ask("binding_id: 'b'")->claim_rule_id(), "r");
  EXPECT_FALSE(First().may_write());
  EXPECT_TRUE(First().may_read());
  EXPECT_THAT(First().refusals(),
              ElementsAre(StartsWith("writes: there is no ClaimRule r")));
  Put("KIND_CLAIM_RULE", "r", "claim_rule { label: 'ns' }");
  EXPECT_TRUE(First().may_write());
}

TEST_F(ResolveTest, ABindingForEveryTenantNamesNone) {
  Binding("b", "every_tenant: true roles: ROLE_WRITE");
  const auto response = Ask("binding_id: 'b'");
  ASSERT_THAT(response, IsOk());
  EXPECT_TRUE(response->every_tenant());
  EXPECT_THAT(response->tenants(), IsEmpty());
  EXPECT_EQ(response->tenant_count(), 0);
}

TEST_F(ResolveTest, ATenantOfABindingThatIsGoneIsNamedWithItsRefusal) {
  Binding("b", "tenant_ids: 'gone' roles: ROLE_READ roles: ROLE_WRITE");
  const v1::ResolvedTenant gone = First();
  EXPECT_EQ(gone.id(), "gone");
  EXPECT_FALSE(gone.may_read());
  EXPECT_FALSE(gone.may_write());
  EXPECT_THAT(gone.refusals(), ElementsAre(HasSubstr("no such tenant")));
}

// Of a binding with the tenants a, b and c.
class ResolveManyTest : public ResolveTest {
 protected:
  ResolveManyTest() {
    for (const char* id : {"c", "a", "b"}) Tenant(id);
    Binding("b", "tenant_ids: ['c', 'a', 'b'] roles: ROLE_READ");
  }
  std::vector<std::string> Ids(const std::string& request,
                               ResolveOptions options = {}) {
    const auto response = Ask(request, std::move(options));
    EXPECT_THAT(response, IsOk());
    EXPECT_EQ(response->tenant_count(), 3);
    std::vector<std::string> ids;
    for (const auto& tenant : response->tenants()) ids.push_back(tenant.id());
    return ids;
  }
};

TEST_F(ResolveManyTest, TheFirstOnesAreTold) {
  EXPECT_THAT(Ids("binding_id: 'b'"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(Ids("binding_id: 'b' max_tenants: 2"), ElementsAre("a", "b"));
}

TEST_F(ResolveManyTest, WhatDoesNotFitIsLeftOut) {
  ResolveOptions options;
  options.max_bytes = 1;
  EXPECT_THAT(Ids("binding_id: 'b'", options), ElementsAre("a"));
}

TEST_F(ResolveManyTest, WithoutTimeThereIsAtLeastOne) {
  int asked = 0;
  ResolveOptions options;
  options.go_on = [&asked] { return ++asked < 2; };
  EXPECT_THAT(Ids("binding_id: 'b'", options), ElementsAre("a", "b"));
  EXPECT_EQ(asked, 2);
}

TEST_F(ResolveTest, ListsThatAreTooLongAreCutAndSaySo) {
  // Clauses that don't become one, as each has a label of its own.
  const std::string value(60'000, 'v');
  for (char c = 'a'; c <= 'k'; ++c) {
    Put("KIND_ACCESS", std::string(1, c),
        absl::StrCat("access { tenant_id: 'red' every_source: true selectors: "
                     "'{",
                     std::string(1, c), "=\"", value, "\"}' }"));
  }
  const v1::ResolvedTenant red = First();
  EXPECT_TRUE(red.may_read());
  // Of 12 clauses, 11 of them 60 kB long, and 11 objects.
  EXPECT_EQ(red.visible_size(), 8);
  EXPECT_THAT(
      red.refusals(),
      ElementsAre(StartsWith("reads: 15 further selectors and Access")));
}

}  // namespace
}  // namespace insula::tenancy
