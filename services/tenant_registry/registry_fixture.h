// A registry over a temporary store, and a gRPC server of it, for the tests
// here.
#pragma once

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "insula/registry/v1/registry.grpc.pb.h"
#include "libs/audit/audit_log.h"
#include "libs/metrics/metrics.h"
#include "libs/rpc/grpc_status.h"
#include "libs/rpc/server.h"
#include "libs/runtime/blocking_pool.h"
#include "libs/status/status_matchers.h"
#include "libs/time/fake_clock.h"
#include "services/tenant_registry/registry.h"
#include "services/tenant_registry/sqlite_store.h"
#include "services/tenant_registry/tenant_registry_service.h"

namespace insula::tenant_registry {

namespace asio = boost::asio;

inline v1::Object TenantObject(absl::string_view id,
                               absl::string_view upstream = "",
                               absl::string_view display_name = "") {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_TENANT);
  object.mutable_meta()->set_id(std::string(id));
  object.mutable_tenant()->set_upstream_id(std::string(upstream));
  object.mutable_tenant()->set_display_name(std::string(display_name));
  return object;
}
inline v1::Object UpstreamObject(
    absl::string_view id,
    v1::Upstream::Isolation isolation = v1::Upstream::ISOLATION_HEADER) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_UPSTREAM);
  object.mutable_meta()->set_id(std::string(id));
  object.mutable_upstream()->set_write_url("http://127.0.0.1:9/write");
  object.mutable_upstream()->set_isolation(isolation);
  return object;
}
// A binding of a token, which one letter stands for.
inline v1::Object BindingObject(absl::string_view id, char token,
                                std::vector<std::string> tenants) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_BINDING);
  object.mutable_meta()->set_id(std::string(id));
  object.mutable_binding()->set_token_sha256(std::string(32, token));
  object.mutable_binding()->add_roles(v1::ROLE_WRITE);
  for (std::string& tenant : tenants) {
    object.mutable_binding()->add_tenant_ids(std::move(tenant));
  }
  return object;
}
inline v1::Operation Put(v1::Object object) {
  v1::Operation operation;
  *operation.mutable_put() = std::move(object);
  return operation;
}
inline v1::Operation Delete(v1::Kind kind, absl::string_view id) {
  v1::Operation operation;
  operation.mutable_delete_()->set_kind(kind);
  operation.mutable_delete_()->set_id(std::string(id));
  return operation;
}
inline v1::Operation Expecting(v1::Operation operation, int64_t revision) {
  operation.set_expected_mod_revision(revision);
  return operation;
}

// Whether something comes true within 20 s.
template <typename Condition>
bool Eventually(Condition condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

class RegistryTest : public testing::Test {
 protected:
  RegistryTest() {
    std::string pattern = testing::TempDir() + "registry_XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  ~RegistryTest() override {
    Stop();
    pool_.join();
    std::filesystem::remove_all(dir_);
  }

  virtual absl::StatusOr<std::unique_ptr<Store>> OpenStore() {
    return OpenSqliteStore(dir_ + "/registry.db");
  }
  void Start() {
    auto store = OpenStore();
    ASSERT_THAT(store, IsOk());
    options_.backup_path = dir_ + "/registry.db.backup";
    auto registry = Registry::Open(*std::move(store), options_,
                                   {pool_.get_executor(), &blocking_, &clock_,
                                    &metrics_, &steady_, audit_});
    ASSERT_THAT(registry, IsOk());
    registry_ = *std::move(registry);
    service_ = std::make_unique<TenantRegistryService>(
        registry_, watch_options_, pool_.get_executor());
    auto server = rpc::Server::Start(server_options_, {service_.get()});
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
    stub_ = v1::TenantRegistry::NewStub(grpc::CreateChannel(
        server_->address(), grpc::InsecureChannelCredentials()));
  }
  void Stop() {
    if (registry_ == nullptr) return;
    stub_ = nullptr;
    registry_->CloseWatches();
    server_->Drain(absl::Seconds(10));
    registry_->Finish();
    server_ = nullptr;
    service_ = nullptr;
    registry_ = nullptr;
  }

  absl::StatusOr<int64_t> Apply(std::vector<v1::Operation> operations,
                                absl::string_view request_id = "",
                                bool validate_only = false) {
    v1::ApplyRequest request;
    for (v1::Operation& operation : operations) {
      *request.add_operations() = std::move(operation);
    }
    request.set_request_id(std::string(request_id));
    request.set_validate_only(validate_only);
    grpc::ClientContext context;
    v1::ApplyResponse response;
    const grpc::Status status = stub_->Apply(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    return response.revision();
  }
  absl::StatusOr<v1::Object> Get(v1::Kind kind, absl::string_view id) {
    v1::GetRequest request;
    request.mutable_ref()->set_kind(kind);
    request.mutable_ref()->set_id(std::string(id));
    grpc::ClientContext context;
    v1::GetResponse response;
    const grpc::Status status = stub_->Get(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    return response.object();
  }
  v1::StatusResponse Status() {
    grpc::ClientContext context;
    v1::StatusResponse response;
    EXPECT_TRUE(stub_->Status(&context, {}, &response).ok());
    return response;
  }

  std::string dir_;
  RegistryOptions options_;
  WatchOptions watch_options_;
  rpc::ServerOptions server_options_;
  FakeClock clock_{absl::FromUnixSeconds(1'790'000'000)};
  FakeClock steady_;
  metrics::Registry metrics_;
  asio::thread_pool pool_{4};
  runtime::BlockingPool blocking_{2, 100};
  audit::AuditLog* audit_ = nullptr;
  std::shared_ptr<Registry> registry_;
  std::unique_ptr<TenantRegistryService> service_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<v1::TenantRegistry::Stub> stub_;
};

}  // namespace insula::tenant_registry
