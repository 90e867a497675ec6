// How a tenant that is DELETING comes to its end.
#include "services/tenant_registry/registry_fixture.h"

namespace insula::tenant_registry {
namespace {

using testing::Eq;
using testing::HasSubstr;
using testing::Ne;

constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;
constexpr auto kNotFound = absl::StatusCode::kNotFound;
constexpr int64_t kStart = 1'790'000'000;

v1::Object Deleting(absl::string_view id) {
  v1::Object object = TenantObject(id);
  object.mutable_tenant()->set_state(v1::Tenant::STATE_DELETING);
  return object;
}

class TenantLifeTest : public RegistryTest {
 protected:
  TenantLifeTest() { Start(); }

  void Tick() {
    asio::co_spawn(pool_, registry_->Tick(), asio::use_future).get();
  }
  int64_t DeleteAt(absl::string_view id) {
    const auto tenant = Get(v1::KIND_TENANT, id);
    EXPECT_THAT(tenant, IsOk());
    return tenant.ok() ? tenant->meta().delete_at().seconds() : -1;
  }
  absl::StatusOr<int64_t> ApplyFrom(std::string source, v1::Operation what) {
    ApplyCommand command;
    command.source = std::move(source);
    *command.request.add_operations() = std::move(what);
    return asio::co_spawn(pool_, registry_->Apply(std::move(command)),
                          asio::use_future)
        .get();
  }
};

TEST_F(TenantLifeTest, GoesWhenItsGraceIsOverWithWhatRefersToIt) {
  ASSERT_THAT(Apply({Put(TenantObject("red")), Put(TenantObject("blue")),
                     Put(BindingObject("only", 'a', {"red"})),
                     Put(BindingObject("both", 'b', {"red", "blue"}))}),
              IsOk());
  ASSERT_THAT(Apply({Put(Deleting("red"))}), IsOk());
  EXPECT_THAT(DeleteAt("red"), Eq(kStart + 600));
  clock_.Advance(absl::Seconds(599));
  Tick();
  // A change does not give it more time.
  v1::Object changed = Deleting("red");
  changed.mutable_tenant()->set_display_name("Red");
  ASSERT_THAT(Apply({Put(changed)}), IsOk());
  EXPECT_THAT(DeleteAt("red"), Eq(kStart + 600));
  clock_.Advance(absl::Seconds(1));

  Tick();

  EXPECT_THAT(Get(v1::KIND_TENANT, "red"), StatusIs(kNotFound));
  EXPECT_THAT(Get(v1::KIND_BINDING, "only"), StatusIs(kNotFound));
  const auto both = Get(v1::KIND_BINDING, "both");
  ASSERT_THAT(both, IsOk());
  ASSERT_THAT(both->binding().tenant_ids_size(), Eq(1));
  EXPECT_THAT(both->binding().tenant_ids(0), Eq("blue"));
  // It stays whose it was.
  EXPECT_THAT(both->meta().source(), Eq("api"));
  EXPECT_THAT(both->meta().updated_by(), Eq("tenant-registry"));
  EXPECT_THAT(metrics_.Expose(),
              HasSubstr("tenant_registry_tenants_removed_total 1\n"));
}

TEST_F(TenantLifeTest, AnotherStateBringsItBack) {
  ASSERT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  const std::string uid = Get(v1::KIND_TENANT, "red")->meta().uid();
  ASSERT_THAT(Apply({Put(Deleting("red"))}), IsOk());
  ASSERT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  EXPECT_THAT(DeleteAt("red"), Eq(0));
  clock_.Advance(absl::Hours(1));
  Tick();
  EXPECT_THAT(Get(v1::KIND_TENANT, "red")->meta().uid(), Eq(uid));
  // A second time, it has all its time again.
  ASSERT_THAT(Apply({Put(Deleting("red"))}), IsOk());
  EXPECT_THAT(DeleteAt("red"), Eq(kStart + 3600 + 600));
}

TEST_F(TenantLifeTest, TheGraceGoesOnAcrossARestart) {
  ASSERT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  ASSERT_THAT(Apply({Put(Deleting("red"))}), IsOk());
  clock_.Advance(absl::Minutes(5));
  Stop();
  Start();
  Tick();
  EXPECT_THAT(DeleteAt("red"), Eq(kStart + 600));
  clock_.Advance(absl::Minutes(5));
  Tick();
  EXPECT_THAT(Get(v1::KIND_TENANT, "red"), StatusIs(kNotFound));
}

TEST_F(TenantLifeTest, TheIdIsFreeAndItsNextTenantIsAnother) {
  ASSERT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  const std::string uid = Get(v1::KIND_TENANT, "red")->meta().uid();
  ASSERT_THAT(Apply({Put(BindingObject("b", 'a', {"red"}))}), IsOk());
  ASSERT_THAT(Apply({Put(Deleting("red"))}), IsOk());
  clock_.Advance(absl::Minutes(10));
  Tick();
  ASSERT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  EXPECT_THAT(Get(v1::KIND_TENANT, "red")->meta().uid(), Ne(uid));
  EXPECT_THAT(DeleteAt("red"), Eq(0));
  EXPECT_THAT(Status().objects_by_kind().count("Binding") == 0 ||
                  Status().objects_by_kind().at("Binding") == 0,
              Eq(true));
  // Whoever was known as a writer of the old one is not one of the new one.
  ASSERT_THAT(Apply({Put(BindingObject("new", 'a', {"red"}))}), IsOk());
}

TEST_F(TenantLifeTest, WhatAFileKeepsGoesAsWell) {
  registry_->SetFiles({"file:/etc/a.yaml"});
  ASSERT_THAT(ApplyFrom("file:/etc/a.yaml", Put(TenantObject("red"))), IsOk());
  ASSERT_THAT(ApplyFrom("file:/etc/a.yaml", Put(Deleting("red"))), IsOk());
  clock_.Advance(absl::Minutes(10));
  Tick();
  EXPECT_THAT(Get(v1::KIND_TENANT, "red"), StatusIs(kNotFound));
  // The file still has it: that does not bring it back.
  EXPECT_THAT(ApplyFrom("file:/etc/a.yaml", Put(Deleting("red"))),
              StatusIs(kPrecondition, HasSubstr("no such tenant")));
}

TEST_F(TenantLifeTest, ManyReferencesGoInSeveralChanges) {
  ASSERT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  for (int i = 0; i < 12; ++i) {
    std::vector<v1::Operation> operations;
    for (int j = 0; j < 10; ++j) {
      v1::Object binding = BindingObject(absl::StrCat(i, "-", j), 'x', {"red"});
      std::string* token = binding.mutable_binding()->mutable_token_sha256();
      (*token)[0] = static_cast<char>(i + 1);
      (*token)[1] = static_cast<char>(j + 1);
      operations.push_back(Put(binding));
    }
    ASSERT_THAT(Apply(std::move(operations)), IsOk());
  }
  ASSERT_THAT(Apply({Put(Deleting("red"))}), IsOk());
  const int64_t revision = Status().revision();
  clock_.Advance(absl::Minutes(10));
  Tick();
  EXPECT_THAT(Get(v1::KIND_TENANT, "red"), StatusIs(kNotFound));
  EXPECT_THAT(Status().objects_by_kind().at("Binding"), Eq(0));
  EXPECT_THAT(Status().revision(), Eq(revision + 3));
  v1::ListAuditRequest request;
  request.set_tenant_id("red");
  request.set_from_revision(revision + 1);
  request.set_page_size(1000);
  grpc::ClientContext context;
  v1::ListAuditResponse audit;
  ASSERT_TRUE(stub_->ListAudit(&context, request, &audit).ok());
  EXPECT_THAT(audit.entries_size(), Eq(121));
  EXPECT_THAT(audit.entries(0).source(), Eq("registry"));
}

TEST_F(TenantLifeTest, OnlyATenantThatIsThereCanBeDeleted) {
  EXPECT_THAT(Apply({Put(Deleting("red"))}),
              StatusIs(kPrecondition, HasSubstr("Tenant/red: spec.state")));
}

}  // namespace
}  // namespace insula::tenant_registry
