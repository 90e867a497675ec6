// The TenantRegistry gRPC service.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "insula/registry/v1/registry.grpc.pb.h"
#include "libs/rpc/serve.h"
#include "services/tenant_registry/registry.h"
#include "services/tenant_registry/watch_encoder.h"

namespace insula::tenant_registry {

struct WatchOptions {
  // A PROGRESS is sent after so long without another message.
  absl::Duration progress_interval = absl::Seconds(5);
  // Longest wait for the client to take one message.
  absl::Duration write_timeout = absl::Seconds(30);
  // Longest wait for Subscribe.
  absl::Duration subscribe_timeout = absl::Seconds(10);
  size_t max_message_bytes = 1 << 20;  // A revision may make it larger.
};

// All methods; but those of Watch are bytes, which are made once for all who
// watch.
using TenantRegistryMethods = v1::TenantRegistry::WithRawCallbackMethod_Watch<
    v1::TenantRegistry::WithCallbackMethod_Get<
        v1::TenantRegistry::WithCallbackMethod_List<
            v1::TenantRegistry::WithCallbackMethod_Apply<
                v1::TenantRegistry::WithCallbackMethod_Status<
                    v1::TenantRegistry::WithCallbackMethod_ListAudit<
                        v1::TenantRegistry::WithCallbackMethod_Resolve<
                            v1::TenantRegistry::WithCallbackMethod_RenewLease<
                                v1::TenantRegistry::WithCallbackMethod_EndLease<
                                    v1::TenantRegistry::
                                        WithCallbackMethod_Backup<
                                            v1::TenantRegistry::
                                                Service>>>>>>>>>>;

// Thread-safe.
class TenantRegistryService final : public TenantRegistryMethods {
 public:
  TenantRegistryService(std::shared_ptr<Registry> registry,
                        WatchOptions watch_options,
                        boost::asio::any_io_executor executor)
      : registry_(std::move(registry)),
        watch_options_(watch_options),
        executor_(std::move(executor)),
        encoder_(watch_options.max_message_bytes) {}

  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context,
                                const v1::GetRequest* request,
                                v1::GetResponse* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const v1::ListRequest* request,
                                 v1::ListResponse* response) override;
  grpc::ServerUnaryReactor* Apply(grpc::CallbackServerContext* context,
                                  const v1::ApplyRequest* request,
                                  v1::ApplyResponse* response) override;
  grpc::ServerUnaryReactor* Status(grpc::CallbackServerContext* context,
                                   const v1::StatusRequest* request,
                                   v1::StatusResponse* response) override;
  grpc::ServerUnaryReactor* ListAudit(grpc::CallbackServerContext* context,
                                      const v1::ListAuditRequest* request,
                                      v1::ListAuditResponse* response) override;
  grpc::ServerUnaryReactor* Resolve(grpc::CallbackServerContext* context,
                                    const v1::ResolveRequest* request,
                                    v1::ResolveResponse* response) override;
  grpc::ServerUnaryReactor* RenewLease(
      grpc::CallbackServerContext* context,
      const v1::RenewLeaseRequest* request,
      v1::RenewLeaseResponse* response) override;
  grpc::ServerUnaryReactor* EndLease(grpc::CallbackServerContext* context,
                                     const v1::EndLeaseRequest* request,
                                     v1::EndLeaseResponse* response) override;
  grpc::ServerWriteReactor<v1::BackupResponse>* Backup(
      grpc::CallbackServerContext* context,
      const v1::BackupRequest* request) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Watch(
      grpc::CallbackServerContext* context) override;

 private:
  boost::asio::awaitable<absl::Status> HandleGet(const v1::GetRequest* request,
                                                 v1::GetResponse* response);
  boost::asio::awaitable<absl::Status> HandleList(
      const v1::ListRequest* request, v1::ListResponse* response);
  boost::asio::awaitable<absl::Status> HandleApply(
      std::string actor, const v1::ApplyRequest* request,
      v1::ApplyResponse* response);
  boost::asio::awaitable<absl::Status> HandleStatus(
      v1::StatusResponse* response);
  boost::asio::awaitable<absl::Status> HandleListAudit(
      const v1::ListAuditRequest* request, v1::ListAuditResponse* response);
  boost::asio::awaitable<absl::Status> HandleResolve(
      const v1::ResolveRequest* request, v1::ResolveResponse* response);
  boost::asio::awaitable<absl::Status> HandleRenewLease(
      std::string actor, const v1::RenewLeaseRequest* request,
      v1::RenewLeaseResponse* response);

  const std::shared_ptr<Registry> registry_;
  const WatchOptions watch_options_;
  const boost::asio::any_io_executor executor_;
  WatchEncoder encoder_;
};

}  // namespace insula::tenant_registry
