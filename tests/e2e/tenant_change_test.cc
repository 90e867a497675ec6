// A change of the registry is effective in every service within a second.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/e2e/harness/constellation.h"

namespace insula::e2e {
namespace {

using ::testing::Lt;

// With instrumented binaries, but on a machine that is idle otherwise.
constexpr absl::Duration kEffective = absl::Seconds(1);

class TenantChangeTest : public testing::Test {
 protected:
  void SetUp() override {
    constellation_.registry_config = "tenants: {deletion_grace: 3s}";
    constellation_.StartAll();
  }

  static v1::Operation Put(v1::Kind kind, const std::string& id,
                           v1::Object object) {
    v1::Operation operation;
    object.mutable_meta()->set_kind(kind);
    object.mutable_meta()->set_id(id);
    *operation.mutable_put() = std::move(object);
    return operation;
  }

  static v1::Operation Delete(v1::Kind kind, const std::string& id) {
    v1::Operation operation;
    operation.mutable_delete_()->set_kind(kind);
    operation.mutable_delete_()->set_id(id);
    return operation;
  }

  // A tenant with a binding that reads and writes for it.
  static std::vector<v1::Operation> NewTenant(const std::string& id) {
    v1::Object tenant;
    (*tenant.mutable_tenant()->mutable_enforced_labels())["namespace"] = id;
    tenant.mutable_tenant()->set_upstream_id("store");
    v1::Object binding;
    binding.mutable_binding()->set_token_sha256(TokenHash(id + "-token"));
    binding.mutable_binding()->add_tenant_ids(id);
    binding.mutable_binding()->add_roles(v1::ROLE_READ);
    binding.mutable_binding()->add_roles(v1::ROLE_WRITE);
    return {Put(v1::KIND_TENANT, id, tenant),
            Put(v1::KIND_BINDING, id + "-team", binding)};
  }

  int WriteStatus(const std::string& id) {
    return constellation_
        .Write(id + "-token",
               WriteBody({{{{"__name__", "change"}}, 1, absl::Now()}}))
        .status;
  }
  int ReadStatus(const std::string& id) {
    return constellation_.Query(id + "-token", "change").status;
  }

  // "" if there is no such tenant.
  std::string UidOf(const std::string& id) {
    v1::GetRequest request;
    request.mutable_ref()->set_kind(v1::KIND_TENANT);
    request.mutable_ref()->set_id(id);
    v1::GetResponse response;
    grpc::ClientContext context;
    const auto stub = constellation_.RegistryStub();
    const grpc::Status status = stub->Get(&context, request, &response);
    return status.ok() ? response.object().meta().uid() : "";
  }

  // How long it takes from now until both services answer so, on an idle
  // machine.
  absl::Duration Until(const std::string& id, int write, int read) {
    const Waited waited = TimeUntil(
        [&] { return WriteStatus(id) == write && ReadStatus(id) == read; });
    EXPECT_TRUE(waited.in_time) << WriteStatus(id) << " " << ReadStatus(id);
    return waited.OnIdleMachine();
  }

  Constellation constellation_;
};

TEST_F(TenantChangeTest, AddedIsServedAndDeletedIsRefusedWithinASecond) {
  EXPECT_EQ(WriteStatus("green"), 401);
  EXPECT_EQ(ReadStatus("green"), 401);

  constellation_.Apply(NewTenant("green"));
  EXPECT_THAT(Until("green", 204, 200), Lt(kEffective));

  constellation_.Apply({Delete(v1::KIND_BINDING, "green-team"),
                        Delete(v1::KIND_TENANT, "green")});
  EXPECT_THAT(Until("green", 401, 401), Lt(kEffective));
}

TEST_F(TenantChangeTest, SuspendedIsRefusedAndReadOnlyStillReads) {
  constellation_.Apply(NewTenant("green"));
  Until("green", 204, 200);

  v1::Object tenant = NewTenant("green")[0].put();
  tenant.mutable_tenant()->set_state(v1::Tenant::STATE_READ_ONLY);
  constellation_.Apply({Put(v1::KIND_TENANT, "green", tenant)});
  EXPECT_THAT(Until("green", 403, 200), Lt(kEffective));

  tenant.mutable_tenant()->set_state(v1::Tenant::STATE_SUSPENDED);
  constellation_.Apply({Put(v1::KIND_TENANT, "green", tenant)});
  EXPECT_THAT(Until("green", 403, 403), Lt(kEffective));
}

TEST_F(TenantChangeTest, ATenantMadeAgainUnderADeletedIdStartsWithNewLabels) {
  constellation_.Apply(NewTenant("green"));
  Until("green", 204, 200);
  constellation_.Apply({Delete(v1::KIND_BINDING, "green-team"),
                        Delete(v1::KIND_TENANT, "green")});
  Until("green", 401, 401);

  std::vector<v1::Operation> again = NewTenant("green");
  auto& labels = *again[0].mutable_put()->mutable_tenant();
  (*labels.mutable_enforced_labels())["namespace"] = "other";
  constellation_.Apply(again);
  ASSERT_TRUE(WaitUntil([this] { return ReadStatus("green") == 200; }));
  EXPECT_THAT(constellation_.Query("green-token", "change").body,
              testing::HasSubstr("\"result\":[]"));
}

TEST_F(TenantChangeTest, WhatIsBeingDeletedIsRefusedAtOnceAndGoesByItself) {
  constellation_.Apply(NewTenant("green"));
  Until("green", 204, 200);
  const std::string uid = UidOf("green");
  EXPECT_THAT(uid.size(), testing::Eq(16U));

  v1::Object tenant = NewTenant("green")[0].put();
  tenant.mutable_tenant()->set_state(v1::Tenant::STATE_DELETING);
  constellation_.Apply({Put(v1::KIND_TENANT, "green", tenant)});
  EXPECT_THAT(Until("green", 403, 403), Lt(kEffective));
  EXPECT_EQ(UidOf("green"), uid) << "it can still be brought back";

  // With its binding, its token is nobody's.
  Until("green", 401, 401);
  EXPECT_EQ(UidOf("green"), "");

  // The id is free. Its next tenant is another one, and does not even see what
  // the old one left in a store that it shares.
  std::vector<v1::Operation> again = NewTenant("green");
  (*again[0]
        .mutable_put()
        ->mutable_tenant()
        ->mutable_enforced_labels())["namespace"] = "green-anew";
  constellation_.Apply(again);
  ASSERT_TRUE(WaitUntil([this] { return ReadStatus("green") == 200; }));
  EXPECT_THAT(UidOf("green"), testing::Ne(uid));
  EXPECT_THAT(constellation_.Query("green-token", "change").body,
              testing::HasSubstr("\"result\":[]"));
  EXPECT_EQ(WriteStatus("green"), 204);
  EXPECT_TRUE(WaitUntil([this] {
    return absl::StrContains(constellation_.Query("green-token", "change").body,
                             "green-anew");
  }));
}

}  // namespace
}  // namespace insula::e2e
