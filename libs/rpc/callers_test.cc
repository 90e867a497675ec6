#include "libs/rpc/callers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "insula/registry/v1/registry.grpc.pb.h"
#include "insula/rpc/testing/echo.grpc.pb.h"
#include "libs/status/status_matchers.h"

namespace insula::rpc {
namespace {

namespace v1 = ::insula::registry::v1;
using ::testing::AllOf;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Reach = CallerBindings::Reach;

constexpr char kWatch[] = "/insula.registry.v1.TenantRegistry/Watch";
constexpr char kApply[] = "/insula.registry.v1.TenantRegistry/Apply";
constexpr char kJo[] = "spiffe://test/admin/jo";

constexpr char kBound[] = "spiffe://test/team/acme";

// Says what a test has written down, of a caller by its first name.
class FakeBindings final : public CallerBindings {
 public:
  // Of the tenant "acme" alone, if the reach is kTenant.
  void Give(const std::string& name, v1::Role role, Reach reach) {
    given_[{name, role}] = reach;
  }
  void SetKnown(bool known) { known_ = known; }

  absl::StatusOr<Answer> Find(const PeerNames& names, v1::Role role,
                              absl::string_view tenant_id) const override {
    if (!known_) return absl::UnavailableError("nothing is known yet");
    Answer answer;
    std::string name;
    if (!names.dns.empty()) name = names.dns[0];
    if (!names.uris.empty()) name = names.uris[0];
    const auto at = given_.find({name, role});
    if (at == given_.end()) return answer;
    answer.reach = at->second;
    answer.bindings = "binding 'b'";
    if (answer.reach == Reach::kTenant && tenant_id != "acme") {
      answer.reach = Reach::kOthers;
    }
    return answer;
  }

 private:
  std::map<std::pair<std::string, v1::Role>, Reach> given_;
  bool known_ = true;
};

class CallersTest : public ::testing::Test {
 protected:
  CallersTest() {
    rules_.trust_domain = "test";
    rules_.admins = {kJo};
    rules_.bindings = &bindings_;
  }
  absl::Status Check(const std::string& uri, absl::string_view path) {
    return CheckPath(Caller({{uri}, {}}, &rules_), path);
  }
  absl::Status Sell(const std::string& uri, const std::string& tenant) {
    testing::SellRequest request;
    request.set_tenant_id(tenant);
    return CheckRequest(Caller({{uri}, {}}, &rules_), request);
  }

  FakeBindings bindings_;
  CallerRules rules_;
  v1::TenantRegistry::Service registry_;  // Bring the descriptors.
  testing::Shop::Service shop_;
};

TEST(IdentityTest, TellsServicesFromOthers) {
  const auto service = ParseIdentity("spiffe://example.org/insula/rule-sync");
  ASSERT_THAT(service, IsOk());
  EXPECT_THAT(service->trust_domain, Eq("example.org"));
  EXPECT_THAT(service->service, Eq("rule-sync"));
  for (const char* other :
       {"spiffe://example.org/admin/jo", "spiffe://example.org/insula/a/b",
        "spiffe://example.org/Insula/rule-sync",
        "spiffe://example.org/ns/insula/sa/rule-sync"}) {
    const auto identity = ParseIdentity(other);
    ASSERT_THAT(identity, IsOk()) << other;
    EXPECT_THAT(identity->service, IsEmpty()) << other;
  }
}

TEST(IdentityTest, RefusesWhatIsNoSpiffeId) {
  for (const std::string& uri :
       {std::string(), std::string("spiffe://"), std::string("spiffe://test"),
        std::string("spiffe:///insula/rule-sync"),
        std::string("spiffe://test/"), std::string("spiffe://test//x"),
        std::string("spiffe://test/x/"), std::string("spiffe://test/../x"),
        std::string("spiffe://Test/x"), std::string("spiffe://te st/x"),
        std::string("spiffe://test:1/x"), std::string("spiffe://test/x?y"),
        std::string("spiffe://test/x%2fy"),
        std::string("spiffe://test/x\0y", 17), std::string("https://test/x"),
        "spiffe://" + std::string(256, 'a') + "/x",
        "spiffe://test/" + std::string(2048, 'a')}) {
    EXPECT_THAT(ParseIdentity(uri),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << uri;
  }
}

TEST(IdentityTest, ACertificateHasOne) {
  EXPECT_THAT(IdentityOf({"https://example.org/", kJo}), IsOk());
  EXPECT_THAT(IdentityOf({}), StatusIs(absl::StatusCode::kInvalidArgument,
                                       HasSubstr("does not say whose")));
  EXPECT_THAT(IdentityOf({kJo, "spiffe://test/admin/al"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("several spiffe:// names")));
}

TEST_F(CallersTest, ServicesFollowTheRegistryAndDoNotChangeIt) {
  EXPECT_THAT(Check("spiffe://test/insula/rule-sync", kWatch), IsOk());
  EXPECT_THAT(
      Check("spiffe://test/insula/rule-sync", kApply),
      StatusIs(absl::StatusCode::kPermissionDenied,
               AllOf(HasSubstr("spiffe://test/insula/rule-sync may not call "
                               "insula.registry.v1.TenantRegistry.Apply"),
                     HasSubstr("ROLE_ADMIN"), HasSubstr("internal.admins"))));
  // Nor read what they have no use for, though an OPERATOR may.
  EXPECT_THAT(Check("spiffe://test/insula/rule-sync",
                    "/insula.registry.v1.TenantRegistry/ListAudit"),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(CallersTest, AdminsMayCallEverything) {
  EXPECT_THAT(Check(kJo, kWatch), IsOk());
  EXPECT_THAT(Check(kJo, kApply), IsOk());
  rules_.admins = {"spiffe://other/admin/jo"};
  EXPECT_THAT(Check("spiffe://other/admin/jo", kApply), IsOk());
}

TEST_F(CallersTest, OthersMayCallNothing) {
  for (const char* other :
       {"spiffe://other/insula/rule-sync", "spiffe://test/insula/rule-sync2",
        "spiffe://test/insula/admin", "spiffe://test/admin/al",
        "spiffe://test/admin/jo2", "https://test/insula/rule-sync"}) {
    EXPECT_THAT(Check(other, kWatch),
                StatusIs(absl::StatusCode::kPermissionDenied))
        << other;
  }
  EXPECT_THAT(CheckPath(Caller(PeerNames(), &rules_), kWatch),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("a certificate without a name")));
}

TEST_F(CallersTest, HealthIsForWhoeverHasACertificate) {
  EXPECT_THAT(Check("spiffe://other/x", "/grpc.health.v1.Health/Check"),
              IsOk());
  EXPECT_THAT(
      CheckPath(Caller(PeerNames(), &rules_), "/grpc.health.v1.Health/Check"),
      IsOk());
}

TEST_F(CallersTest, PlainTextMayDoEverything) {
  const Caller anyone;
  EXPECT_THAT(CheckPath(anyone, kApply), IsOk());
  EXPECT_THAT(anyone.service(), IsEmpty());
  EXPECT_TRUE(anyone.IsAdmin().value());
}

TEST_F(CallersTest, ACallOfAServerWithoutRulesIsRefused) {
  EXPECT_THAT(CheckPath(Caller({{kJo}, {}}, nullptr), kWatch), Not(IsOk()));
}

TEST_F(CallersTest, ABindingLetsACallerWorkForItsTenant) {
  bindings_.Give(kBound, v1::ROLE_READ, Reach::kTenant);
  EXPECT_THAT(Check(kBound, "/insula.rpc.testing.Shop/Sell"), IsOk());
  EXPECT_THAT(Sell(kBound, "acme"), IsOk());
  EXPECT_THAT(Sell(kBound, "blue"),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr("spiffe://test/team/acme may not call "
                                       "insula.rpc.testing.Shop.Sell for "
                                       "tenant 'blue'"),
                             HasSubstr("ROLE_READ"), HasSubstr("binding 'b'"),
                             HasSubstr("in the registry"))));
  EXPECT_THAT(Sell(kBound, ""), StatusIs(absl::StatusCode::kPermissionDenied,
                                         HasSubstr("for every tenant")));
  EXPECT_THAT(Sell(kBound, std::string("acme\0", 5)),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(CallersTest, ARoleForEveryTenantNeedsNoName) {
  bindings_.Give(kBound, v1::ROLE_READ, Reach::kEveryTenant);
  EXPECT_THAT(Sell(kBound, ""), IsOk());
  EXPECT_THAT(Sell(kBound, "blue"), IsOk());
  EXPECT_THAT(Check(kBound, "/insula.rpc.testing.Shop/Watch"), IsOk());
}

TEST_F(CallersTest, AStreamNeedsTheRoleForEveryTenant) {
  bindings_.Give(kBound, v1::ROLE_READ, Reach::kTenant);
  EXPECT_THAT(Check(kBound, "/insula.rpc.testing.Shop/Watch"),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(CallersTest, AMethodWithoutATenantFieldNeedsItToo) {
  bindings_.Give(kBound, v1::ROLE_RULES, Reach::kTenant);
  testing::RepairRequest request;
  request.set_thing("acme/3");
  const Caller caller({{kBound}, {}}, &rules_);
  EXPECT_THAT(CheckRequest(caller, request),
              StatusIs(absl::StatusCode::kPermissionDenied));
  // Unless its handler finds out whose it is.
  EXPECT_THAT(CheckRequestFor(caller, request, "acme"), IsOk());
  EXPECT_THAT(CheckRequestFor(caller, request, "blue"),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(CheckRequestFor(caller, request, ""),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(CallersTest, AnAdminByBindingMayCallEverything) {
  bindings_.Give(kBound, v1::ROLE_ADMIN, Reach::kEveryTenant);
  EXPECT_THAT(Check(kBound, kApply), IsOk());
  EXPECT_THAT(Sell(kBound, ""), IsOk());
  EXPECT_TRUE(Caller({{kBound}, {}}, &rules_).IsAdmin().value());
  EXPECT_FALSE(Caller({{"spiffe://test/x"}, {}}, &rules_).IsAdmin().value());
}

TEST_F(CallersTest, AnOperatorByBindingReadsTheRegistryAndNoTenant) {
  bindings_.Give(kBound, v1::ROLE_OPERATOR, Reach::kEveryTenant);
  EXPECT_THAT(Check(kBound, kWatch), IsOk());
  EXPECT_THAT(Check(kBound, kApply),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(Sell(kBound, "acme"),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(CallersTest, AHostMayBeBound) {
  bindings_.Give("jo.example.org", v1::ROLE_OPERATOR, Reach::kEveryTenant);
  const Caller host({{}, {"jo.example.org"}}, &rules_);
  EXPECT_THAT(CheckPath(host, kWatch), IsOk());
  EXPECT_THAT(host.name(), Eq("DNS:jo.example.org"));
}

TEST_F(CallersTest, ACertificateWithTwoSpiffeIdsMayDoNothing) {
  bindings_.Give(kBound, v1::ROLE_ADMIN, Reach::kEveryTenant);
  const Caller two({{kBound, kJo}, {}}, &rules_);
  EXPECT_THAT(CheckPath(two, kWatch),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("several spiffe:// names")));
}

TEST_F(CallersTest, ACertificateWithVeryManyNamesMayDoNothing) {
  PeerNames names;
  names.uris = {kJo};
  names.dns.assign(kMaxPeerNames, "jo.example.org");
  EXPECT_THAT(CheckPath(Caller(names, &rules_), kWatch),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("give it fewer")));
}

TEST_F(CallersTest, AnAdminIsListedByItsSpiffeIdAlone) {
  rules_.admins = {"DNS:jo", "https://jo"};
  EXPECT_THAT(CheckPath(Caller({{}, {"jo"}}, &rules_), kApply),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(CallersTest, WhatIsNotKnownYetMayBeTriedAgain) {
  bindings_.SetKnown(false);
  EXPECT_THAT(Check(kBound, kWatch), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Check(kJo, kWatch), IsOk());
  EXPECT_THAT(Check("spiffe://test/insula/rule-sync", kWatch), IsOk());
}

}  // namespace
}  // namespace insula::rpc
