#include "libs/rpc/roles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "insula/federation/v1/federation.grpc.pb.h"
#include "insula/ingest/v1/ingest.grpc.pb.h"
#include "insula/query/v1/query.grpc.pb.h"
#include "insula/registry/v1/registry.grpc.pb.h"
#include "insula/rpc/testing/echo.grpc.pb.h"
#include "insula/rules/v1/rules.grpc.pb.h"
#include "libs/rpc/server.h"
#include "libs/status/status_matchers.h"

namespace insula::rpc {
namespace {

namespace v1 = ::insula::registry::v1;
using ::testing::Eq;
using ::testing::HasSubstr;

v1::Role RoleOf(const std::string& method) {
  const auto* const descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
          method);
  return descriptor == nullptr ? v1::ROLE_UNSPECIFIED
                               : RequiredRole(*descriptor);
}

// Being there, they bring their descriptors into the program.
struct AllServices {
  v1::TenantRegistry::Service registry;
  ingest::v1::IngestGateway::Service ingest;
  query::v1::QueryFrontend::Service query;
  rules::v1::RuleSync::Service rules;
  federation::v1::FederationPusher::Service federation;
};

class RolesTest : public ::testing::Test {
 private:
  AllServices services_;
};

TEST_F(RolesTest, EveryMethodOfEveryServiceHasOne) {
  const std::vector<std::string> services = {
      v1::TenantRegistry::service_full_name(),
      ingest::v1::IngestGateway::service_full_name(),
      query::v1::QueryFrontend::service_full_name(),
      rules::v1::RuleSync::service_full_name(),
      federation::v1::FederationPusher::service_full_name(),
      "grpc.health.v1.Health"};
  EXPECT_THAT(CheckRoles(services), IsOk());
}

// Who may do what, to be looked at when it changes.
TEST_F(RolesTest, AreThese) {
  const std::string registry = v1::TenantRegistry::service_full_name();
  for (const char* read : {"Get", "List", "Watch", "Status", "ListAudit",
                           "RenewLease", "EndLease"}) {
    EXPECT_THAT(RoleOf(registry + "." + read), Eq(v1::ROLE_OPERATOR)) << read;
  }
  for (const char* change : {"Apply", "Backup"}) {
    EXPECT_THAT(RoleOf(registry + "." + change), Eq(v1::ROLE_ADMIN)) << change;
  }
  EXPECT_THAT(RoleOf("insula.ingest.v1.IngestGateway.Why"),
              Eq(v1::ROLE_OPERATOR));
  EXPECT_THAT(RoleOf("insula.query.v1.QueryFrontend.Explain"),
              Eq(v1::ROLE_READ));
  EXPECT_THAT(RoleOf("insula.rules.v1.RuleSync.Validate"), Eq(v1::ROLE_RULES));
  EXPECT_THAT(RoleOf("insula.federation.v1.FederationPusher.RunNow"),
              Eq(v1::ROLE_FEDERATE));
}

TEST_F(RolesTest, AMethodWithoutOneIsNamed) {
  EXPECT_THAT(
      CheckRoles({testing::Unguarded::service_full_name()}),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               HasSubstr("method insula.rpc.testing.Unguarded.Open does not")));
  EXPECT_THAT(CheckRoles({"insula.none.v1.None"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(RolesTest, ATenantFieldIsAString) {
  EXPECT_THAT(CheckRoles({testing::BadTenantField::service_full_name()}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("BadTenantField.Call names the tenant_field "
                                 "'tenants', which is no string")));
}

TEST_F(RolesTest, ARequestOfATenantIsOfOneMethod) {
  EXPECT_THAT(CheckRoles({testing::SharedRequest::service_full_name()}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("a request that no other method has")));
  EXPECT_THAT(CheckRoles({testing::Shop::service_full_name()}), IsOk());
}

// Whoever adds a method of a tenant says which tenant.
TEST_F(RolesTest, MethodsOfTenantsNameThem) {
  for (const char* method : {"insula.query.v1.QueryFrontend.Explain",
                             "insula.rules.v1.RuleSync.Validate",
                             "insula.rules.v1.RuleSync.ListRules"}) {
    const auto* const descriptor =
        google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
            method);
    ASSERT_NE(descriptor, nullptr) << method;
    ASSERT_NE(TenantField(*descriptor), nullptr) << method;
    EXPECT_THAT(TenantField(*descriptor)->name(), Eq("tenant_id"));
  }
}

TEST_F(RolesTest, AServerWithAMethodWithoutOneDoesNotStart) {
  testing::Unguarded::Service service;
  EXPECT_THAT(Server::Start(ServerOptions(), {&service}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("Unguarded.Open")));
  testing::Echo::Service guarded;
  EXPECT_THAT(Server::Start(ServerOptions(), {&guarded}), IsOk());
}

}  // namespace
}  // namespace insula::rpc
