#include "services/tenant_registry/tenant_registry_service.h"

#include <grpc/grpc_security_constants.h>

#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/backup_session.h"
#include "services/tenant_registry/watch_session.h"

namespace insula::tenant_registry {
namespace {

namespace asio = boost::asio;

constexpr size_t kMaxShown = 200;

// Who calls: the name in the certificate that was verified, or the address.
std::string ActorOf(const grpc::CallbackServerContext& context) {
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (auth != nullptr && auth->IsPeerAuthenticated()) {
    for (const char* property :
         {GRPC_PEER_SPIFFE_ID_PROPERTY_NAME, GRPC_X509_SAN_PROPERTY_NAME,
          GRPC_X509_CN_PROPERTY_NAME}) {
      const auto values = auth->FindPropertyValues(property);
      if (values.empty()) continue;
      return std::string(values.front().data(), values.front().size());
    }
  }
  // "ipv4:10.0.0.1:40312": the port says nothing about who it is.
  const std::string peer = context.peer();
  return absl::StartsWith(peer, "ipv") ? peer.substr(0, peer.rfind(':')) : peer;
}

// A lease is its service's own: those of "SERVICE/..." and for instances of
// SERVICE. Of those who are no service, admins alone hold leases or end them.
absl::Status CheckLease(const rpc::Caller& caller, absl::string_view id,
                        std::optional<absl::string_view> of = std::nullopt) {
  const std::string& service = caller.service();
  if (service.empty()) {
    ASSIGN_OR_RETURN(const bool admin, caller.IsAdmin());
    if (admin) return absl::OkStatus();
    return absl::PermissionDeniedError(
        absl::StrCat(caller.name(),
                     " is no service and may not hold or end leases: do it as "
                     "who has ROLE_ADMIN"));
  }
  if (absl::StartsWith(id, absl::StrCat(service, "/")) &&
      of.value_or(service) == service) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(absl::StrCat(
      caller.name(), " may not hold or end the lease '",
      absl::CHexEscape(id.substr(0, kMaxShown)), "' of an instance of '",
      absl::CHexEscape(of.value_or(id).substr(0, kMaxShown)),
      "': its own ids begin with '", service, "/'"));
}

}  // namespace

grpc::ServerUnaryReactor* TenantRegistryService::Get(
    grpc::CallbackServerContext* context, const v1::GetRequest* request,
    v1::GetResponse* response) {
  return rpc::Serve(context, request, executor_, HandleGet(request, response));
}

asio::awaitable<absl::Status> TenantRegistryService::HandleGet(
    const v1::GetRequest* request, v1::GetResponse* response) {
  CO_ASSIGN_OR_RETURN(*response, registry_->Get(request->ref()));
  co_return absl::OkStatus();
}

grpc::ServerUnaryReactor* TenantRegistryService::List(
    grpc::CallbackServerContext* context, const v1::ListRequest* request,
    v1::ListResponse* response) {
  return rpc::Serve(context, request, executor_, HandleList(request, response));
}

asio::awaitable<absl::Status> TenantRegistryService::HandleList(
    const v1::ListRequest* request, v1::ListResponse* response) {
  CO_ASSIGN_OR_RETURN(*response, registry_->List(*request));
  co_return absl::OkStatus();
}

grpc::ServerUnaryReactor* TenantRegistryService::Apply(
    grpc::CallbackServerContext* context, const v1::ApplyRequest* request,
    v1::ApplyResponse* response) {
  return rpc::Serve(context, request, executor_,
                    HandleApply(ActorOf(*context), request, response));
}

asio::awaitable<absl::Status> TenantRegistryService::HandleApply(
    std::string actor, const v1::ApplyRequest* request,
    v1::ApplyResponse* response) {
  CO_RETURN_IF_ERROR(registry_->CheckFit(*request));
  ApplyCommand command;
  command.request = *request;
  command.actor = std::move(actor);
  CO_ASSIGN_OR_RETURN(const int64_t revision,
                      co_await registry_->Apply(std::move(command)));
  response->set_revision(revision);
  co_return absl::OkStatus();
}

grpc::ServerUnaryReactor* TenantRegistryService::Status(
    grpc::CallbackServerContext* context, const v1::StatusRequest* request,
    v1::StatusResponse* response) {
  return rpc::Serve(context, request, executor_, HandleStatus(response));
}

asio::awaitable<absl::Status> TenantRegistryService::HandleStatus(
    v1::StatusResponse* response) {
  *response = registry_->Status();
  co_return absl::OkStatus();
}

grpc::ServerUnaryReactor* TenantRegistryService::ListAudit(
    grpc::CallbackServerContext* context, const v1::ListAuditRequest* request,
    v1::ListAuditResponse* response) {
  return rpc::Serve(context, request, executor_,
                    HandleListAudit(request, response));
}

asio::awaitable<absl::Status> TenantRegistryService::HandleListAudit(
    const v1::ListAuditRequest* request, v1::ListAuditResponse* response) {
  CO_ASSIGN_OR_RETURN(*response, co_await registry_->ListAudit(*request));
  co_return absl::OkStatus();
}

grpc::ServerUnaryReactor* TenantRegistryService::Resolve(
    grpc::CallbackServerContext* context, const v1::ResolveRequest* request,
    v1::ResolveResponse* response) {
  return rpc::Serve(context, request, executor_,
                    HandleResolve(request, response));
}

asio::awaitable<absl::Status> TenantRegistryService::HandleResolve(
    const v1::ResolveRequest* request, v1::ResolveResponse* response) {
  CO_ASSIGN_OR_RETURN(*response, co_await registry_->Resolve(*request));
  co_return absl::OkStatus();
}

grpc::ServerUnaryReactor* TenantRegistryService::RenewLease(
    grpc::CallbackServerContext* context, const v1::RenewLeaseRequest* request,
    v1::RenewLeaseResponse* response) {
  const absl::Status held = CheckLease(rpc::CallerOf(*context), request->id(),
                                       request->instance().service());
  if (!held.ok()) return rpc::Refuse(context, held);
  return rpc::Serve(context, request, executor_,
                    HandleRenewLease(ActorOf(*context), request, response));
}

asio::awaitable<absl::Status> TenantRegistryService::HandleRenewLease(
    std::string actor, const v1::RenewLeaseRequest* request,
    v1::RenewLeaseResponse* response) {
  CO_ASSIGN_OR_RETURN(
      *response, co_await registry_->RenewLease(*request, std::move(actor)));
  co_return absl::OkStatus();
}

grpc::ServerUnaryReactor* TenantRegistryService::EndLease(
    grpc::CallbackServerContext* context, const v1::EndLeaseRequest* request,
    v1::EndLeaseResponse* /*response*/) {
  const absl::Status held = CheckLease(rpc::CallerOf(*context), request->id());
  if (!held.ok()) return rpc::Refuse(context, held);
  return rpc::Serve(context, request, executor_,
                    registry_->EndLease(*request, ActorOf(*context)));
}

grpc::ServerWriteReactor<v1::BackupResponse>* TenantRegistryService::Backup(
    grpc::CallbackServerContext* context,
    const v1::BackupRequest* /*request*/) {
  return rpc::ServeWriter<v1::BackupResponse>(
      context, executor_, [this](BackupStream* stream) {
        return ServeBackup(stream, registry_, watch_options_.write_timeout);
      });
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>*
TenantRegistryService::Watch(grpc::CallbackServerContext* context) {
  return rpc::ServeBidi<grpc::ByteBuffer, grpc::ByteBuffer>(
      context, executor_, [this](WatchStream* stream) {
        return ServeWatch(stream, registry_, watch_options_, &encoder_);
      });
}

}  // namespace insula::tenant_registry
