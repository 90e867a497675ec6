#include "libs/auth/auth.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/auth/address_set.h"
#include "libs/status/status_matchers.h"

namespace insula::auth {
namespace {

namespace v1 = ::insula::registry::v1;
using ::testing::AllOf;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsNull;
using ::testing::Not;
using ::testing::NotNull;
using enum absl::StatusCode;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

std::string Sha256(absl::string_view text) {
  std::string digest(32, '\0');
  EVP_Digest(text.data(), text.size(),
             reinterpret_cast<unsigned char*>(digest.data()), nullptr,
             EVP_sha256(), nullptr);
  return digest;
}

v1::Object Tenant(const std::string& id,
                  v1::Tenant::State state = v1::Tenant::STATE_UNSPECIFIED) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_TENANT);
  object.mutable_meta()->set_id(id);
  object.mutable_tenant()->set_state(state);
  return object;
}

v1::Object Binding(const std::string& id, const std::string& spec) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_BINDING);
  object.mutable_meta()->set_id(id);
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      spec, object.mutable_binding()));
  object.mutable_binding()->set_token_sha256(
      Sha256(absl::StrCat(id, "-token")));
  return object;
}

// The token of each binding is its id and "-token".
std::shared_ptr<const tenancy::Snapshot> TestSnapshot() {
  tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
  v1::Object rule;
  rule.mutable_meta()->set_kind(v1::KIND_CLAIM_RULE);
  rule.mutable_meta()->set_id("by-namespace");
  rule.mutable_claim_rule()->set_label("namespace");
  const std::string all_roles = "roles: [ROLE_WRITE, ROLE_READ] ";
  for (const v1::Object& object : std::vector<v1::Object>{
           Tenant("red"), Tenant("blue"), Tenant("green"), Tenant(".*"),
           Tenant("asleep", v1::Tenant::STATE_SUSPENDED),
           Tenant("full", v1::Tenant::STATE_READ_ONLY), rule,
           Binding("red", all_roles + "tenant_ids: 'red'"),
           Binding("reader", "roles: ROLE_READ tenant_ids: 'red'"),
           Binding("two", all_roles + "tenant_ids: ['red', 'blue']"),
           Binding("every", all_roles + "every_tenant: true"),
           Binding("shared", all_roles + "tenant_ids: ['red', 'blue'] "
                                         "claim_rule_id: 'by-namespace'"),
           Binding("lost-rule",
                   all_roles + "tenant_ids: 'red' claim_rule_id: 'gone'"),
           Binding("lost-tenant", all_roles + "tenant_ids: 'deleted'"),
           Binding("asleep", all_roles + "tenant_ids: 'asleep'"),
           Binding("full",
                   "roles: [ROLE_WRITE, ROLE_READ, ROLE_FEDERATE] "
                   "tenant_ids: 'full'"),
           Binding("old", all_roles + "tenant_ids: 'red' "
                                      "not_after { seconds: 1800000000 }"),
           Binding("young", all_roles + "tenant_ids: 'red' "
                                        "not_after { seconds: 1800000001 }"),
           Binding("admin", "roles: [ROLE_ADMIN, ROLE_OPERATOR]")}) {
    EXPECT_THAT(builder.Put(object), IsOk());
  }
  return std::move(builder).Build(1, "epoch");
}

using HeaderList = std::vector<std::pair<std::string, std::string>>;

std::pair<std::string, std::string> Bearer(const std::string& binding) {
  return {"Authorization", absl::StrCat("Bearer ", binding, "-token")};
}

enum class Kind {
  kBearer,   // The default listener.
  kTrusted,  // Trusts X-Tenant and nothing else.
  kBoth,     // Trusts X-Tenant and tokens.
};

ListenerAuth Listener(Kind kind) {
  ListenerAuth listener;
  listener.bearer = kind != Kind::kTrusted;
  if (kind != Kind::kBearer) listener.trusted_header = "X-Tenant";
  listener.trusted_addresses = {"127.0.0.1", "10.1.0.0/16"};
  return listener;
}

absl::StatusOr<Caller> Try(Kind kind, const HeaderList& fields,
                           v1::Role role = v1::ROLE_READ,
                           const std::string& peer = "127.0.0.1") {
  http::Request request;
  for (const auto& [name, value] : fields) request.headers.Add(name, value);
  request.peer.address = peer;
  return Authenticate(request, Listener(kind), TestSnapshot(), role, kNow);
}

// For each binding and tenant: what a token gets is what is said of its
// binding.
TEST(CallerTest, ABindingIsTreatedAsItsTokenIs) {
  const auto snapshot = TestSnapshot();
  for (const char* id :
       {"red", "reader", "two", "every", "shared", "lost-rule", "lost-tenant",
        "asleep", "full", "old", "young", "admin"}) {
    for (const char* tenant : {"", "red", "blue", "asleep", "nobody", "a,b"}) {
      for (const v1::Role role : {v1::ROLE_WRITE, v1::ROLE_READ}) {
        http::Request request;
        request.headers.Add("Authorization",
                            absl::StrCat("Bearer ", id, "-token"));
        if (*tenant != '\0') request.headers.Add("X-Scope-OrgID", tenant);
        const auto real =
            Authenticate(request, ListenerAuth(), snapshot, role, kNow);
        const auto told = CallerWithBinding(snapshot, id, tenant, role, kNow);
        ASSERT_EQ(told.status(), real.status()) << id << " for " << tenant;
        if (!real.ok()) continue;
        EXPECT_EQ(told->tenant, real->tenant);
        EXPECT_EQ(told->claim_rule, real->claim_rule);
        EXPECT_EQ(told->binding, real->binding);
        EXPECT_EQ(told->identity, real->identity);
      }
    }
  }
  EXPECT_THAT(CallerWithBinding(snapshot, "none", "", v1::ROLE_READ, kNow),
              StatusIs(kNotFound, HasSubstr("no binding 'none'")));
}

TEST(CallerTest, ANamedTenantIsTreatedAsItsTrustedHeaderIs) {
  const auto snapshot = TestSnapshot();
  for (const char* tenant : {"red", "asleep", "full", "nobody"}) {
    for (const v1::Role role : {v1::ROLE_WRITE, v1::ROLE_READ}) {
      http::Request request;
      request.headers.Add("X-Scope-OrgID", tenant);
      request.peer.address = "127.0.0.1";
      ListenerAuth listener;
      listener.trusted_header = "X-Scope-OrgID";
      const auto real = Authenticate(request, listener, snapshot, role, kNow);
      const auto told = CallerWithHeader(snapshot, tenant, role);
      ASSERT_EQ(told.status(), real.status()) << tenant;
      if (!real.ok()) continue;
      EXPECT_EQ(told->tenant, real->tenant);
      EXPECT_EQ(told->identity, real->identity);
    }
  }
  EXPECT_THAT(CallerWithHeader(snapshot, "a|b", v1::ROLE_READ),
              StatusIs(kInvalidArgument));
}

TEST(CallerTest, NobodyIsKnownBeforeTheRegistryIs) {
  const auto nothing = std::make_shared<const tenancy::Snapshot>();
  EXPECT_THAT(CheckKnown(nullptr), StatusIs(kUnavailable));
  EXPECT_THAT(CheckKnown(nothing.get()), StatusIs(kUnavailable));
  EXPECT_THAT(CheckKnown(TestSnapshot().get()), IsOk());
  EXPECT_THAT(CallerWithBinding(nothing, "red", "", v1::ROLE_READ, kNow),
              StatusIs(kUnavailable));
  EXPECT_THAT(CallerWithHeader(nothing, "red", v1::ROLE_READ),
              StatusIs(kUnavailable));
}

struct Case {
  std::string what;
  Kind kind;
  HeaderList fields;
  absl::StatusCode code;
  std::string tenant_or_message;  // OK: the tenant, "" for none.
  v1::Role role = v1::ROLE_READ;
  std::string peer = "127.0.0.1";

  friend std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << c.what;
  }
};

class AuthTableTest : public testing::TestWithParam<Case> {};

TEST_P(AuthTableTest, Decides) {
  const Case& c = GetParam();
  const auto caller = Try(c.kind, c.fields, c.role, c.peer);
  if (c.code != kOk) {
    EXPECT_THAT(caller, StatusIs(c.code, AllOf(HasSubstr(c.tenant_or_message),
                                               Not(HasSubstr("-token")))));
    return;
  }
  ASSERT_THAT(caller, IsOk());
  if (c.tenant_or_message.empty()) {
    EXPECT_THAT(caller->tenant, IsNull());
  } else {
    ASSERT_THAT(caller->tenant, NotNull());
    EXPECT_THAT(caller->tenant->id.value(), Eq(c.tenant_or_message));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Tokens, AuthTableTest,
    testing::Values(
        Case{"a token", Kind::kBearer, {Bearer("red")}, kOk, "red"},
        Case{"lower case",
             Kind::kBearer,
             {{"authorization", "bearer red-token"}},
             kOk,
             "red"},
        Case{"upper case, blanks",
             Kind::kBearer,
             {{"AUTHORIZATION", "BEARER   red-token"}},
             kOk,
             "red"},
        Case{"no credential", Kind::kBearer, {}, kUnauthenticated, "no cred"},
        Case{"empty",
             Kind::kBearer,
             {{"Authorization", ""}},
             kUnauthenticated,
             "must be 'Bearer TOKEN'"},
        Case{"basic",
             Kind::kBearer,
             {{"Authorization", "Basic cmVkOnJlZA=="}},
             kUnauthenticated,
             "must be 'Bearer TOKEN'"},
        Case{"no blank",
             Kind::kBearer,
             {{"Authorization", "Bearerred-token"}},
             kUnauthenticated,
             "must be 'Bearer TOKEN'"},
        Case{"no token",
             Kind::kBearer,
             {{"Authorization", "Bearer "}},
             kUnauthenticated,
             "1 to 8192"},
        Case{"two tokens in one",
             Kind::kBearer,
             {{"Authorization", "Bearer red-token two-token"}},
             kUnauthenticated,
             "visible ASCII"},
        Case{"trailing blank",
             Kind::kBearer,
             {{"Authorization", "Bearer red-token "}},
             kUnauthenticated,
             "visible ASCII"},
        Case{"not ASCII",
             Kind::kBearer,
             {{"Authorization", "Bearer r\xc3\xa4"}},
             kUnauthenticated,
             "visible ASCII"},
        Case{"too long",
             Kind::kBearer,
             {{"Authorization", "Bearer " + std::string(8193, 'x')}},
             kUnauthenticated,
             "1 to 8192"},
        Case{"longest, unknown",
             Kind::kBearer,
             {{"Authorization", "Bearer " + std::string(8192, 'x')}},
             kUnauthenticated,
             "not known"},
        Case{"unknown",
             Kind::kBearer,
             {Bearer("nobody")},
             kUnauthenticated,
             "not known"},
        Case{"the hash instead of the token",
             Kind::kBearer,
             {{"Authorization", "Bearer " + Sha256("red-token")}},
             kUnauthenticated,
             ""},
        Case{"twice the same",
             Kind::kBearer,
             {Bearer("red"), Bearer("red")},
             kInvalidArgument,
             "more than once"},
        Case{"two tokens",
             Kind::kBearer,
             {Bearer("red"), {"authorization", "Bearer two-token"}},
             kInvalidArgument,
             "more than once"},
        Case{"expired",
             Kind::kBearer,
             {Bearer("old")},
             kUnauthenticated,
             "binding 'old' expired at 2027-01-15T08:00:00"},
        Case{"not yet expired", Kind::kBearer, {Bearer("young")}, kOk, "red"},
        Case{"role missing",
             Kind::kBearer,
             {Bearer("reader")},
             kPermissionDenied,
             "binding 'reader' lacks ROLE_WRITE",
             v1::ROLE_WRITE},
        Case{"admin does not read",
             Kind::kBearer,
             {Bearer("admin")},
             kPermissionDenied,
             "lacks ROLE_READ"},
        Case{
            "admin", Kind::kBearer, {Bearer("admin")}, kOk, "", v1::ROLE_ADMIN},
        Case{"tenant is no admin",
             Kind::kBearer,
             {Bearer("every")},
             kPermissionDenied,
             "lacks ROLE_ADMIN",
             v1::ROLE_ADMIN}));

INSTANTIATE_TEST_SUITE_P(
    TenantsOfTokens, AuthTableTest,
    testing::Values(
        Case{"its own",
             Kind::kBearer,
             {Bearer("red"), {"X-Scope-OrgID", "red"}},
             kOk,
             "red"},
        Case{"another's",
             Kind::kBearer,
             {Bearer("red"), {"X-Scope-OrgID", "blue"}},
             kPermissionDenied,
             "binding 'red' may not act for tenant 'blue'"},
        Case{"case matters",
             Kind::kBearer,
             {Bearer("red"), {"X-Scope-OrgID", "Red"}},
             kPermissionDenied,
             "tenant 'Red'"},
        Case{"one of two",
             Kind::kBearer,
             {Bearer("two"), {"x-scope-orgid", "blue"}},
             kOk,
             "blue"},
        Case{"none of two",
             Kind::kBearer,
             {Bearer("two")},
             kInvalidArgument,
             "name one in header X-Scope-OrgID"},
        Case{"a third",
             Kind::kBearer,
             {Bearer("two"), {"X-Scope-OrgID", "green"}},
             kPermissionDenied,
             "tenant 'green'"},
        Case{"no pattern",
             Kind::kBearer,
             {Bearer("two"), {"X-Scope-OrgID", ".*"}},
             kPermissionDenied,
             "tenant '.*'"},
        Case{"a tenant called as a pattern",
             Kind::kBearer,
             {Bearer("every"), {"X-Scope-OrgID", ".*"}},
             kOk,
             ".*"},
        Case{"every, none named",
             Kind::kBearer,
             {Bearer("every")},
             kInvalidArgument,
             "name one"},
        Case{"every, unknown",
             Kind::kBearer,
             {Bearer("every"), {"X-Scope-OrgID", "nobody"}},
             kPermissionDenied,
             "tenant 'nobody' does not exist"},
        Case{
            "twice",
            Kind::kBearer,
            {Bearer("two"), {"X-Scope-OrgID", "red"}, {"X-Scope-OrgID", "red"}},
            kInvalidArgument,
            "more than once"},
        Case{"list",
             Kind::kBearer,
             {Bearer("two"), {"X-Scope-OrgID", "red,blue"}},
             kInvalidArgument,
             "must name one tenant"},
        Case{"federation",
             Kind::kBearer,
             {Bearer("two"), {"X-Scope-OrgID", "red|blue"}},
             kInvalidArgument,
             "must name one tenant"},
        Case{"underscores",
             Kind::kBearer,
             {Bearer("two"), {"X_Scope_OrgID", "red"}},
             kInvalidArgument,
             "must be spelled X-Scope-OrgID"},
        Case{"both spellings",
             Kind::kBearer,
             {Bearer("two"),
              {"X-Scope-OrgID", "red"},
              {"x-scope_orgid", "blue"}},
             kInvalidArgument,
             "must be spelled X-Scope-OrgID"},
        Case{"empty",
             Kind::kBearer,
             {Bearer("red"), {"X-Scope-OrgID", ""}},
             kInvalidArgument,
             "header X-Scope-OrgID: a tenant id must have"},
        Case{"path",
             Kind::kBearer,
             {Bearer("every"), {"X-Scope-OrgID", "../red"}},
             kInvalidArgument,
             "must be of"},
        Case{"the other name has no effect",
             Kind::kBearer,
             {Bearer("red"), {"X-Tenant", "blue"}, {"THANOS-TENANT", "blue"}},
             kOk,
             "red"},
        Case{"deleted",
             Kind::kBearer,
             {Bearer("lost-tenant")},
             kPermissionDenied,
             "tenant 'deleted' does not exist"},
        Case{"suspended",
             Kind::kBearer,
             {Bearer("asleep")},
             kPermissionDenied,
             "tenant 'asleep' is suspended"},
        Case{"read-only is read", Kind::kBearer, {Bearer("full")}, kOk, "full"},
        Case{"read-only is not written",
             Kind::kBearer,
             {Bearer("full")},
             kPermissionDenied,
             "tenant 'full' is read-only",
             v1::ROLE_WRITE},
        Case{"read-only is not federated to",
             Kind::kBearer,
             {Bearer("full")},
             kPermissionDenied,
             "tenant 'full' is read-only",
             v1::ROLE_FEDERATE},
        Case{"claim rule decides",
             Kind::kBearer,
             {Bearer("shared")},
             kOk,
             "",
             v1::ROLE_WRITE},
        Case{"whatever the header says",
             Kind::kBearer,
             {Bearer("shared"), {"X-Scope-OrgID", "red"}},
             kOk,
             "",
             v1::ROLE_WRITE},
        Case{"claim rule is not for reads",
             Kind::kBearer,
             {Bearer("shared"), {"X-Scope-OrgID", "red"}},
             kOk,
             "red"},
        Case{"claim rule is gone",
             Kind::kBearer,
             {Bearer("lost-rule")},
             kUnavailable,
             "claim rule 'gone' of binding 'lost-rule'",
             v1::ROLE_WRITE}));

INSTANTIATE_TEST_SUITE_P(
    TrustedHeaders, AuthTableTest,
    testing::Values(
        Case{"named", Kind::kTrusted, {{"X-Tenant", "red"}}, kOk, "red"},
        Case{"from a network",
             Kind::kTrusted,
             {{"x-tenant", "red"}},
             kOk,
             "red",
             v1::ROLE_WRITE,
             "10.1.200.3"},
        Case{"from a stranger",
             Kind::kTrusted,
             {{"X-Tenant", "red"}},
             kPermissionDenied,
             "is not trusted from 10.2.0.1",
             v1::ROLE_READ,
             "10.2.0.1"},
        Case{"from nowhere",
             Kind::kTrusted,
             {{"X-Tenant", "red"}},
             kPermissionDenied,
             "is not trusted",
             v1::ROLE_READ,
             ""},
        Case{"none",
             Kind::kTrusted,
             {},
             kUnauthenticated,
             "must set header X-Tenant"},
        Case{"another header",
             Kind::kTrusted,
             {{"X-Scope-OrgID", "red"}},
             kUnauthenticated,
             "must set header X-Tenant"},
        Case{"tokens are not for it",
             Kind::kTrusted,
             {Bearer("red")},
             kUnauthenticated,
             "must set header X-Tenant"},
        Case{"the proxy's own credential is not ours",
             Kind::kTrusted,
             {{"Authorization", "Basic cmVkOnJlZA=="}, {"X-Tenant", "red"}},
             kOk,
             "red"},
        Case{"twice",
             Kind::kTrusted,
             {{"X-Tenant", "red"}, {"x-tenant", "blue"}},
             kInvalidArgument,
             "more than once"},
        Case{"twice the same",
             Kind::kTrusted,
             {{"X-Tenant", "red"}, {"X-Tenant", "red"}},
             kInvalidArgument,
             "more than once"},
        Case{"list",
             Kind::kTrusted,
             {{"X-Tenant", "red, blue"}},
             kInvalidArgument,
             "must name one tenant"},
        Case{"federation",
             Kind::kTrusted,
             {{"X-Tenant", "red|blue"}},
             kInvalidArgument,
             "must name one tenant"},
        Case{"underscores",
             Kind::kTrusted,
             {{"X_Tenant", "red"}},
             kInvalidArgument,
             "must be spelled X-Tenant"},
        Case{"dot",
             Kind::kTrusted,
             {{"X-Tenant", "."}},
             kInvalidArgument,
             "reserved"},
        Case{"empty",
             Kind::kTrusted,
             {{"X-Tenant", ""}},
             kInvalidArgument,
             "1 to 150"},
        Case{"blank",
             Kind::kTrusted,
             {{"X-Tenant", " "}},
             kInvalidArgument,
             "must be of"},
        Case{"long",
             Kind::kTrusted,
             {{"X-Tenant", std::string(151, 'x')}},
             kInvalidArgument,
             "got 151"},
        Case{"escaped",
             Kind::kTrusted,
             {{"X-Tenant", "r%65d"}},
             kInvalidArgument,
             "must be of"},
        Case{"unknown",
             Kind::kTrusted,
             {{"X-Tenant", "nobody"}},
             kPermissionDenied,
             "tenant 'nobody' does not exist"},
        Case{"suspended",
             Kind::kTrusted,
             {{"X-Tenant", "asleep"}},
             kPermissionDenied,
             "suspended"},
        Case{"read-only",
             Kind::kTrusted,
             {{"X-Tenant", "full"}},
             kPermissionDenied,
             "read-only",
             v1::ROLE_WRITE},
        Case{"no admin",
             Kind::kTrusted,
             {{"X-Tenant", "red"}},
             kPermissionDenied,
             "does not grant ROLE_ADMIN",
             v1::ROLE_ADMIN}));

INSTANTIATE_TEST_SUITE_P(
    TokensAndTrustedHeaders, AuthTableTest,
    testing::Values(
        Case{"a header", Kind::kBoth, {{"X-Tenant", "blue"}}, kOk, "blue"},
        Case{"a token", Kind::kBoth, {Bearer("red")}, kOk, "red"},
        Case{
            "the token wins",
            Kind::kBoth,
            {Bearer("red"), {"X-Tenant", "blue"}},
            kPermissionDenied,
            "binding 'red' may not act for tenant 'blue' that header X-Tenant"},
        Case{"the header names one of the token's",
             Kind::kBoth,
             {Bearer("two"), {"X-Tenant", "blue"}},
             kOk,
             "blue"},
        Case{"from anywhere, with a token",
             Kind::kBoth,
             {Bearer("two"), {"X-Tenant", "blue"}},
             kOk,
             "blue",
             v1::ROLE_READ,
             "10.2.0.1"},
        Case{"a bad token is not made good by a header",
             Kind::kBoth,
             {Bearer("nobody"), {"X-Tenant", "blue"}},
             kUnauthenticated,
             "not known"},
        Case{"a stranger's header",
             Kind::kBoth,
             {{"X-Tenant", "blue"}},
             kPermissionDenied,
             "send a bearer token",
             v1::ROLE_READ,
             "10.2.0.1"}));

TEST(AuthTest, IsUnavailableUntilTheRegistryIsKnown) {
  http::Request request;
  for (const auto& snapshot : {std::shared_ptr<const tenancy::Snapshot>(),
                               std::shared_ptr<const tenancy::Snapshot>(
                                   std::make_shared<tenancy::Snapshot>())}) {
    EXPECT_THAT(
        Authenticate(request, ListenerAuth(), snapshot, v1::ROLE_READ, kNow),
        StatusIs(kUnavailable));
  }
}

TEST(AuthTest, ACallerActsForTheChosenTenantOnly) {
  const auto chosen =
      Try(Kind::kBearer, {Bearer("two"), {"X-Scope-OrgID", "red"}});
  ASSERT_THAT(chosen, IsOk());
  EXPECT_TRUE(chosen->MayActFor("red"));
  EXPECT_FALSE(chosen->MayActFor("blue"));
  EXPECT_THAT(chosen->identity, Eq("binding/two"));
  EXPECT_THAT(chosen->binding, NotNull());

  const auto header = Try(Kind::kTrusted, {{"X-Tenant", "red"}});
  ASSERT_THAT(header, IsOk());
  EXPECT_TRUE(header->MayActFor("red"));
  EXPECT_FALSE(header->MayActFor("blue"));
  EXPECT_THAT(header->identity, Eq("header/red"));
  EXPECT_THAT(header->binding, IsNull());
}

TEST(AuthTest, WithAClaimRuleACallerActsForTheTenantsOfItsBinding) {
  const auto caller = Try(Kind::kBearer, {Bearer("shared")}, v1::ROLE_WRITE);
  ASSERT_THAT(caller, IsOk());
  ASSERT_THAT(caller->claim_rule, NotNull());
  EXPECT_THAT(caller->claim_rule->spec.label(), Eq("namespace"));
  EXPECT_TRUE(caller->MayActFor("red"));
  EXPECT_TRUE(caller->MayActFor("blue"));
  EXPECT_FALSE(caller->MayActFor("green"));
}

TEST(ListenerAuthTest, ValidatesItsFields) {
  EXPECT_THAT(ListenerAuth().Validate(), IsOk());
  EXPECT_THAT(Listener(Kind::kTrusted).Validate(), IsOk());
  EXPECT_THAT(Listener(Kind::kBoth).Validate(), IsOk());

  ListenerAuth nobody;
  nobody.bearer = false;
  EXPECT_THAT(nobody.Validate(),
              StatusIs(kInvalidArgument, HasSubstr("nobody could get in")));
  for (const char* name :
       {"X Tenant", "X_Tenant", "X-Tenant:", "Authorization", "host"}) {
    ListenerAuth listener = Listener(Kind::kTrusted);
    listener.trusted_header = name;
    EXPECT_THAT(listener.Validate(),
                StatusIs(kInvalidArgument, HasSubstr("trusted_header")))
        << name;
  }
  for (const char* address :
       {"", "localhost", "0.0.0.0/0", "::/0", "10.1/16", "10.1.0.0/33",
        "10.1.0.0/", "::1/129", "10.0.0.0/-1", "fe80::1%1"}) {
    ListenerAuth listener = Listener(Kind::kTrusted);
    listener.trusted_addresses = {address};
    EXPECT_THAT(listener.Validate(),
                StatusIs(kInvalidArgument, HasSubstr("trusted_addresses")))
        << address;
  }
  ListenerAuth none = Listener(Kind::kTrusted);
  none.trusted_addresses.clear();
  EXPECT_THAT(none.Validate(), StatusIs(kInvalidArgument));
}

TEST(AddressSetTest, ContainsAddressesOfItsNetworks) {
  const std::vector<std::string> networks = {"127.0.0.1", "::1", "10.1.0.0/16",
                                             "192.168.4.0/22", "fd00:1::/32"};
  for (const char* inside :
       {"127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.0.0", "10.1.255.255",
        "::ffff:10.1.2.3", "192.168.7.255", "fd00:1:2::3"}) {
    EXPECT_TRUE(Contains(networks, inside)) << inside;
  }
  for (const char* outside :
       {"", "127.0.0.2", "::2", "10.2.0.0", "10.0.255.255", "192.168.8.0",
        "192.168.3.255", "fd00:2::", "localhost", "127.0.0.1 ", "127.1",
        "0:0:0:0:0:0:7f00:1"}) {
    EXPECT_FALSE(Contains(networks, outside)) << outside;
  }
}

}  // namespace
}  // namespace insula::auth
