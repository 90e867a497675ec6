#include "libs/rpc/callers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "insula/registry/v1/registry.grpc.pb.h"
#include "libs/status/status_matchers.h"

namespace insula::rpc {
namespace {

namespace v1 = ::insula::registry::v1;
using ::testing::AllOf;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kWatch[] = "/insula.registry.v1.TenantRegistry/Watch";
constexpr char kApply[] = "/insula.registry.v1.TenantRegistry/Apply";
constexpr char kJo[] = "spiffe://test/admin/jo";

class CallersTest : public ::testing::Test {
 protected:
  CallersTest() {
    rules_.trust_domain = "test";
    rules_.admins = {kJo};
  }
  absl::Status Check(const std::string& uri, absl::string_view path) {
    return CheckCaller({uri}, path, rules_);
  }

  CallerRules rules_;
  v1::TenantRegistry::Service registry_;  // Brings the descriptors.
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
  EXPECT_THAT(CheckCaller({}, kWatch, rules_),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(CallersTest, HealthIsForWhoeverHasACertificate) {
  EXPECT_THAT(Check("spiffe://other/x", "/grpc.health.v1.Health/Check"),
              IsOk());
  EXPECT_THAT(CheckCaller({}, "/grpc.health.v1.Health/Check", rules_), IsOk());
}

}  // namespace
}  // namespace insula::rpc
