// The registry and the followers that the services use, together: leases, and
// what a follower does when the store is not what it was.
#include <filesystem>

#include "libs/registry_client/registry_client.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/registry_fixture.h"
#include "services/tenant_registry/wrapped_store.h"

namespace insula::tenant_registry {
namespace {

using registry_client::RegistryClient;
using testing::Eq;
using testing::HasSubstr;

class FollowerTest : public RegistryTest {
 protected:
  struct Service {
    std::unique_ptr<metrics::Registry> metrics =
        std::make_unique<metrics::Registry>();
    std::unique_ptr<RegistryClient> client;

    std::string NameOf(absl::string_view tenant) const {
      const auto snapshot = client->snapshot();
      const auto* found = snapshot->FindTenant(tenant);
      return found == nullptr ? "none" : found->spec.display_name();
    }
    int64_t revision() const { return client->snapshot()->revision(); }
  };

  ~FollowerTest() override { services_.clear(); }

  absl::StatusOr<std::unique_ptr<Store>> OpenStore() override {
    ASSIGN_OR_RETURN(std::unique_ptr<Store> store, RegistryTest::OpenStore());
    return std::make_unique<WrappedStore>(std::move(store), gate_);
  }

  Service& Follow(const std::string& client_id, const std::string& state_dir,
                  bool accept_new_epoch = false) {
    registry_client::Options options;
    options.address = address_;
    options.client_id = client_id;
    options.advertise_address = "10.0.0.1:9702";
    options.zone = "rack-7";
    options.state_dir = state_dir;
    options.accept_new_epoch = accept_new_epoch;
    auto service = std::make_unique<Service>();
    auto client =
        RegistryClient::Start(options, {v1::KIND_TENANT, v1::KIND_INSTANCE},
                              pool_.get_executor(), service->metrics.get());
    EXPECT_THAT(client, IsOk());
    service->client = *std::move(client);
    services_.push_back(std::move(service));
    return *services_.back();
  }

  // The same address after a restart.
  void StartAgain() {
    server_options_.listen_address = address_;
    Start();
  }
  void StartFirst() {
    Start();
    address_ = server_->address();
  }
  void Tick() {
    asio::co_spawn(pool_, registry_->Tick(), asio::use_future).get();
  }
  // What passes second by second.
  void PassSeconds(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      steady_.Advance(absl::Seconds(1));
      Tick();
    }
  }
  absl::Status Renew(absl::string_view id, int64_t started_at,
                     absl::string_view address = "10.0.0.1:9702") {
    v1::RenewLeaseRequest request;
    request.set_id(std::string(id));
    request.mutable_instance()->set_service("ingest-gateway");
    request.mutable_instance()->set_address(std::string(address));
    request.mutable_instance()->mutable_started_at()->set_seconds(started_at);
    grpc::ClientContext context;
    v1::RenewLeaseResponse response;
    const grpc::Status status = stub_->RenewLease(&context, request, &response);
    EXPECT_THAT(response.ttl().seconds(), Eq(status.ok() ? 12 : 0));
    return rpc::FromGrpc(status);
  }
  absl::Status EndLease(absl::string_view id, int64_t started_at) {
    v1::EndLeaseRequest request;
    request.set_id(std::string(id));
    request.mutable_started_at()->set_seconds(started_at);
    grpc::ClientContext context;
    v1::EndLeaseResponse response;
    return rpc::FromGrpc(stub_->EndLease(&context, request, &response));
  }
  bool IsThere(absl::string_view id) { return Get(v1::KIND_INSTANCE, id).ok(); }

  const std::shared_ptr<CommitGate> gate_ = std::make_shared<CommitGate>();
  std::string address_;
  std::vector<std::unique_ptr<Service>> services_;
};

TEST_F(FollowerTest, AnInstanceLivesAsLongAsItRenewsItsLease) {
  StartFirst();
  ASSERT_THAT(Renew("ingest-gateway/a", 100), IsOk());
  ASSERT_THAT(Renew("ingest-gateway/b", 100), IsOk());
  EXPECT_THAT(Get(v1::KIND_INSTANCE, "ingest-gateway/a")->instance().address(),
              Eq("10.0.0.1:9702"));
  const int64_t revision = Status().revision();
  PassSeconds(8);
  ASSERT_THAT(Renew("ingest-gateway/b", 100), IsOk());
  PassSeconds(3);
  EXPECT_TRUE(IsThere("ingest-gateway/a"));
  // Nothing was new.
  EXPECT_THAT(Status().revision(), Eq(revision));
  PassSeconds(1);
  EXPECT_FALSE(IsThere("ingest-gateway/a"));
  EXPECT_TRUE(IsThere("ingest-gateway/b"));
  EXPECT_THAT(Status().revision(), Eq(revision + 1));
  PassSeconds(8);
  EXPECT_FALSE(IsThere("ingest-gateway/b"));
  EXPECT_THAT(metrics_.Expose(),
              HasSubstr("tenant_registry_leases_expired_total 2\n"));
  // It may come back.
  ASSERT_THAT(Renew("ingest-gateway/b", 100), IsOk());
  EXPECT_TRUE(IsThere("ingest-gateway/b"));
}

TEST_F(FollowerTest, ALeaseEndsAtOnceWhenItsHolderSaysSo) {
  StartFirst();
  ASSERT_THAT(Renew("ingest-gateway/a", 100), IsOk());
  ASSERT_THAT(EndLease("ingest-gateway/a", 100), IsOk());
  EXPECT_FALSE(IsThere("ingest-gateway/a"));
  EXPECT_THAT(EndLease("ingest-gateway/a", 100), IsOk());
  PassSeconds(20);
  EXPECT_THAT(Status().revision(), Eq(2));
}

TEST_F(FollowerTest, AnInstanceThatCouldNotBeDeletedGoesWhenItsTermIsOver) {
  StartFirst();
  ASSERT_THAT(Renew("ingest-gateway/a", 100), IsOk());
  gate_->Fail(2);
  EXPECT_THAT(EndLease("ingest-gateway/a", 100),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(IsThere("ingest-gateway/a"));
  PassSeconds(13);
  EXPECT_FALSE(IsThere("ingest-gateway/a"));
}

TEST_F(FollowerTest, OfTwoProcessesOfOneIdTheLaterOneHasIt) {
  StartFirst();
  ASSERT_THAT(Renew("ingest-gateway/a", 100, "10.0.0.1:1"), IsOk());
  ASSERT_THAT(Renew("ingest-gateway/a", 200, "10.0.0.1:2"), IsOk());
  EXPECT_THAT(Get(v1::KIND_INSTANCE, "ingest-gateway/a")->instance().address(),
              Eq("10.0.0.1:2"));
  EXPECT_THAT(Renew("ingest-gateway/a", 100, "10.0.0.1:1"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("an id of its own")));
  EXPECT_THAT(EndLease("ingest-gateway/a", 100),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_TRUE(IsThere("ingest-gateway/a"));
}

TEST_F(FollowerTest, AfterARestartAllLeasesLiveOneTermMore) {
  StartFirst();
  ASSERT_THAT(Renew("ingest-gateway/a", 100), IsOk());
  PassSeconds(10);
  Stop();
  steady_.Advance(absl::Hours(3));
  StartAgain();
  PassSeconds(11);
  EXPECT_TRUE(IsThere("ingest-gateway/a"));
  PassSeconds(1);
  EXPECT_FALSE(IsThere("ingest-gateway/a"));
}

TEST_F(FollowerTest, WhatIsNoInstanceIsRefused) {
  StartFirst();
  EXPECT_THAT(Renew("..", 100), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(
      Renew("ingest-gateway/a", 100, "nowhere"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("spec.address")));
}

TEST_F(FollowerTest, ServicesSeeEachOtherComeAndGo) {
  StartFirst();
  Service& one = Follow("ingest-gateway/a", "");
  Follow("query-frontend/b", "");
  const auto sees = [&one](absl::string_view id) {
    return one.client->snapshot()->FindInstance(id);
  };
  ASSERT_TRUE(Eventually([&] {
    return sees("ingest-gateway/a") != nullptr &&
           sees("query-frontend/b") != nullptr;
  }));
  const auto snapshot = one.client->snapshot();
  const auto& other = snapshot->FindInstance("query-frontend/b")->spec;
  EXPECT_THAT(other.service(), Eq("query-frontend"));
  EXPECT_THAT(other.address(), Eq("10.0.0.1:9702"));
  EXPECT_THAT(other.zone(), Eq("rack-7"));
  EXPECT_TRUE(Eventually([&one] {
    return one.metrics->Expose().find("insula_registry_lease_held 1\n") !=
           std::string::npos;
  }));
  // Long before its lease runs out: time stands still here.
  services_.pop_back();
  EXPECT_TRUE(Eventually([&] { return sees("query-frontend/b") == nullptr; }));
}

TEST_F(FollowerTest, ARestoredStoreIsRefusedUntilSomebodyAcceptsIt) {
  StartFirst();
  ASSERT_THAT(Apply({Put(TenantObject("red", "", "before"))}), IsOk());
  std::shared_ptr<Registry::BackupFile> backup =
      *asio::co_spawn(pool_, registry_->Backup(), asio::use_future).get();
  const std::string copy = dir_ + "/kept.db";
  std::filesystem::copy_file(backup->path, copy);
  backup = nullptr;
  ASSERT_THAT(Apply({Put(TenantObject("red", "", "after"))}), IsOk());
  Service& follower = Follow("ingest-gateway/a", dir_ + "/state");
  ASSERT_TRUE(
      Eventually([&follower] { return follower.NameOf("red") == "after"; }));

  Stop();
  std::filesystem::remove(dir_ + "/registry.db-wal");
  std::filesystem::rename(copy, dir_ + "/registry.db");
  StartAgain();
  // The restored one even gets beyond the revision that the follower has.
  while (Status().revision() < follower.revision() + 2) {
    ASSERT_THAT(Apply({Put(TenantObject("red", "",
                                        absl::StrCat(Status().revision())))}),
                IsOk());
  }
  ASSERT_TRUE(Eventually([&follower] {
    return follower.metrics->Expose().find(
               "insula_registry_refused_snapshots_total{reason=\"other_epoch\"}"
               " 0\n") == std::string::npos;
  }));
  EXPECT_THAT(follower.NameOf("red"), Eq("after"));
  // Also when it starts anew.
  services_.clear();
  Service& again = Follow("ingest-gateway/a", dir_ + "/state");
  EXPECT_THAT(again.NameOf("red"), Eq("after"));
  ASSERT_TRUE(Eventually([&again] {
    return again.metrics->Expose().find(
               "insula_registry_refused_snapshots_total{reason=\"other_epoch\"}"
               " 0\n") == std::string::npos;
  }));
  services_.clear();
  Service& accepting = Follow("ingest-gateway/a", dir_ + "/state", true);
  EXPECT_TRUE(Eventually([this, &accepting] {
    return accepting.revision() >= Status().revision() &&
           accepting.NameOf("red") != "after";
  }));
  // And from then on by itself.
  services_.clear();
  Service& settled = Follow("ingest-gateway/a", dir_ + "/state");
  ASSERT_THAT(Apply({Put(TenantObject("red", "", "settled"))}), IsOk());
  EXPECT_TRUE(
      Eventually([&settled] { return settled.NameOf("red") == "settled"; }));
}

}  // namespace
}  // namespace insula::tenant_registry
