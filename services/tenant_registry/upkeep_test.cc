// Audit, backup, and dropping what is old.
#include "services/tenant_registry/upkeep.h"

#include <filesystem>
#include <fstream>

#include "services/tenant_registry/digest.h"
#include "services/tenant_registry/registry_fixture.h"

namespace insula::tenant_registry {
namespace {

using testing::ElementsAre;
using testing::Eq;
using testing::Ge;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Ne;
using testing::Not;
using testing::SizeIs;

class UpkeepTest : public RegistryTest {
 protected:
  UpkeepTest() { Start(); }

  absl::StatusOr<v1::ListAuditResponse> ListAudit(
      const v1::ListAuditRequest& request) {
    grpc::ClientContext context;
    v1::ListAuditResponse response;
    const grpc::Status status = stub_->ListAudit(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    return response;
  }
  void Maintain() {
    asio::co_spawn(pool_, registry_->Maintain(), asio::use_future).get();
  }
};

TEST_F(UpkeepTest, TheAuditTellsWhoChangedWhatWithoutTellingSecrets) {
  ASSERT_THAT(Apply({Put(TenantObject("red"))}, "made"), IsOk());
  ASSERT_THAT(Apply({Put(BindingObject("sender", 's', {"red"}))}), IsOk());
  const auto made = Get(v1::KIND_TENANT, "red");
  clock_.Advance(absl::Minutes(5));
  ASSERT_THAT(Apply({Put(TenantObject("red", "", "Red")),
                     Delete(v1::KIND_BINDING, "sender")}),
              IsOk());
  const auto changed = Get(v1::KIND_TENANT, "red");

  const auto audit = ListAudit({});

  ASSERT_THAT(audit, IsOk());
  ASSERT_THAT(audit->entries(), SizeIs(4));
  EXPECT_THAT(audit->next_page_token(), IsEmpty());
  const v1::AuditEntry& first = audit->entries(0);
  EXPECT_THAT(first.revision(), Eq(1));
  EXPECT_THAT(first.at().seconds(), Eq(1'790'000'000));
  EXPECT_THAT(first.actor(), Eq("ipv4:127.0.0.1"));
  EXPECT_THAT(first.source(), Eq("api"));
  EXPECT_THAT(first.request_id(), Eq("made"));
  EXPECT_THAT(first.ref().kind(), Eq(v1::KIND_TENANT));
  EXPECT_THAT(first.ref().id(), Eq("red"));
  EXPECT_THAT(first.before_sha256(), IsEmpty());
  EXPECT_THAT(first.after_sha256(), Eq(Sha256(SpecBytes(*made))));
  const v1::AuditEntry& change = audit->entries(2);
  EXPECT_THAT(change.revision(), Eq(3));
  EXPECT_THAT(change.at().seconds(), Eq(1'790'000'300));
  EXPECT_THAT(change.before_sha256(), Eq(first.after_sha256()));
  EXPECT_THAT(change.after_sha256(), Eq(Sha256(SpecBytes(*changed))));
  EXPECT_THAT(audit->entries(3).after_sha256(), IsEmpty());
  EXPECT_THAT(audit->SerializeAsString(), Not(HasSubstr(std::string(32, 's'))));
}

TEST_F(UpkeepTest, WhatChangedNothingLeavesNoTrace) {
  ASSERT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  ASSERT_THAT(Apply({Put(TenantObject("red"))}, "again"), IsOk());
  ASSERT_THAT(Apply({Put(TenantObject("blue"))}, "", true), IsOk());
  EXPECT_FALSE(Apply({Delete(v1::KIND_TENANT, "blue")}).ok());
  EXPECT_THAT(ListAudit({})->entries(), SizeIs(1));
}

TEST_F(UpkeepTest, TheAuditOfATenantHasWhatNamesIt) {
  ASSERT_THAT(Apply({Put(TenantObject("red")), Put(TenantObject("blue"))}),
              IsOk());
  ASSERT_THAT(Apply({Put(BindingObject("b", 'a', {"red", "blue"}))}), IsOk());
  ASSERT_THAT(Apply({Put(BindingObject("b", 'a', {"red"}))}), IsOk());
  ASSERT_THAT(Apply({Put(BindingObject("c", 'c', {"red"}))}), IsOk());
  v1::ListAuditRequest request;
  request.set_tenant_id("blue");
  std::vector<int64_t> revisions;
  const auto of_blue = ListAudit(request);
  for (const auto& entry : of_blue->entries()) {
    revisions.push_back(entry.revision());
  }
  // The last one is where the binding lost it.
  EXPECT_THAT(revisions, ElementsAre(1, 2, 3));
  request.mutable_object()->set_kind(v1::KIND_BINDING);
  request.mutable_object()->set_id("c");
  EXPECT_THAT(ListAudit(request)->entries(), SizeIs(1));
  request = v1::ListAuditRequest();
  request.set_actor("nobody");
  EXPECT_THAT(ListAudit(request)->entries(), IsEmpty());
}

TEST_F(UpkeepTest, TheAuditIsPagedAlsoWhileItGrows) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(Apply({Put(TenantObject(absl::StrCat("t", i)))}), IsOk());
  }
  v1::ListAuditRequest request;
  request.set_from_revision(2);
  request.set_page_size(2);
  auto page = ListAudit(request);
  ASSERT_THAT(page->entries(), SizeIs(2));
  EXPECT_THAT(page->entries(0).revision(), Eq(2));
  ASSERT_THAT(Apply({Put(TenantObject("later"))}), IsOk());
  request.set_page_token(page->next_page_token());
  page = ListAudit(request);
  EXPECT_THAT(page->entries(0).revision(), Eq(4));
  request.set_page_token(page->next_page_token());
  page = ListAudit(request);
  EXPECT_THAT(page->entries(), SizeIs(1));
  EXPECT_THAT(page->next_page_token(), IsEmpty());

  request.set_actor("another question");
  EXPECT_THAT(ListAudit(request), StatusIs(absl::StatusCode::kInvalidArgument));
  request = v1::ListAuditRequest();
  request.set_page_size(1001);
  EXPECT_THAT(ListAudit(request), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("page_size")));
}

TEST_F(UpkeepTest, OldChangesAndAuditAreDropped) {
  ASSERT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  ASSERT_THAT(Apply({Put(TenantObject("blue"))}), IsOk());
  clock_.Advance(absl::Hours(25));
  ASSERT_THAT(Apply({Put(TenantObject("green"))}), IsOk());
  Maintain();
  EXPECT_THAT(Status().oldest_revision(), Eq(2));
  EXPECT_THAT(ListAudit({})->entries(), SizeIs(3));
  clock_.Advance(absl::Hours(24 * 90 - 1));
  Maintain();
  EXPECT_THAT(Status().oldest_revision(), Eq(3));
  EXPECT_THAT(ListAudit({})->entries(), SizeIs(1));
  Stop();
  Start();
  EXPECT_THAT(Status().oldest_revision(), Eq(3));
}

TEST_F(UpkeepTest, UpkeepComesRoundByItself) {
  ASSERT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  clock_.Advance(absl::Hours(25));
  const Upkeep upkeep(registry_, pool_.get_executor(), absl::Milliseconds(5));
  EXPECT_TRUE(Eventually([this] { return Status().oldest_revision() == 1; }));
  ASSERT_THAT(Apply({Put(TenantObject("blue"))}), IsOk());
  clock_.Advance(absl::Hours(25));
  EXPECT_TRUE(Eventually([this] { return Status().oldest_revision() == 2; }));
}

TEST_F(UpkeepTest, ABackupStartsARegistryOfAnotherEpoch) {
  const std::string name(200, 'n');
  for (int i = 0; i < 100; ++i) {
    std::vector<v1::Operation> operations;
    for (int j = 0; j < 50; ++j) {
      operations.push_back(
          Put(TenantObject(absl::StrCat("t", i, "-", j), "", name)));
    }
    ASSERT_THAT(Apply(std::move(operations)), IsOk());
  }
  const std::string epoch = Status().epoch();
  std::string backup;
  {
    grpc::ClientContext context;
    auto stream = stub_->Backup(&context, {});
    v1::BackupResponse piece;
    std::vector<size_t> sizes;
    while (stream->Read(&piece)) {
      EXPECT_THAT(piece.revision(), Eq(100));
      sizes.push_back(piece.data().size());
      backup += piece.data();
    }
    ASSERT_THAT(rpc::FromGrpc(stream->Finish()), IsOk());
    EXPECT_THAT(backup.size(), Eq(static_cast<size_t>(piece.total_bytes())));
    ASSERT_THAT(sizes.size(), Ge(2u));
    for (size_t i = 0; i + 1 < sizes.size(); ++i) EXPECT_EQ(sizes[i] % 3, 0u);
  }
  // The copy on disk goes when it is sent.
  EXPECT_TRUE(Eventually([this] {
    return !std::filesystem::exists(dir_ + "/registry.db.backup");
  }));
  ASSERT_THAT(Apply({Put(TenantObject("later"))}), IsOk());

  Stop();
  for (const char* ending : {"", "-wal"}) {
    std::filesystem::remove(dir_ + "/registry.db" + ending);
  }
  std::ofstream(dir_ + "/registry.db", std::ios::binary) << backup;
  Start();

  EXPECT_THAT(Status().revision(), Eq(100));
  EXPECT_THAT(Status().epoch(), Ne(epoch));
  EXPECT_THAT(Status().objects_by_kind().at("Tenant"), Eq(5000));
  EXPECT_THAT(Apply({Put(TenantObject("another"))}), IsOk());
}

TEST_F(UpkeepTest, OneBackupAtATime) {
  auto first =
      asio::co_spawn(pool_, registry_->Backup(), asio::use_future).get();
  ASSERT_THAT(first, IsOk());
  grpc::ClientContext context;
  auto stream = stub_->Backup(&context, {});
  v1::BackupResponse piece;
  EXPECT_FALSE(stream->Read(&piece));
  EXPECT_THAT(rpc::FromGrpc(stream->Finish()),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace insula::tenant_registry
