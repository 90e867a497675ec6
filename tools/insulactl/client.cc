#include "tools/insulactl/client.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/channel_arguments.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "insula/registry/v1/registry.grpc.pb.h"
#include "libs/metrics/metrics.h"
#include "libs/rpc/channel.h"
#include "libs/rpc/grpc_status.h"
#include "libs/status/status_macros.h"

namespace insula::insulactl {
namespace {

// Largest message taken: the changes of one revision are never split.
constexpr int kMaxMessageBytes = 64 << 20;
// A peer that is gone without a word is noticed within that time.
constexpr int kKeepaliveMs = 10'000;
// How often gRPC looks after a connection while no call waits for it. Its own
// 5 s would be the time that a restart of the registry takes to be noticed.
constexpr char kPollVariable[] = "GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS";
constexpr char kPollMs[] = "100";

// gRPC would take port 0 or 443 for a missing one.
absl::Status CheckServer(const std::string& server) {
  const size_t colon = server.rfind(':');
  int port = 0;
  const bool address =
      colon != std::string::npos && colon > 0 &&
      absl::SimpleAtoi(absl::string_view(server).substr(colon + 1), &port) &&
      port > 0 && port < 65536;
  if (address) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--server: '", server, "' is not HOST:PORT, such as 127.0.0.1:9701"));
}

absl::StatusOr<std::optional<rpc::Tls>> TlsOf(const Globals& globals) {
  const bool ca = !globals.ca_file.empty();
  const bool cert = !globals.cert_file.empty();
  const bool key = !globals.key_file.empty();
  if (!ca && !cert && !key) return std::nullopt;
  if (!ca || !cert || !key) {
    return absl::InvalidArgumentError(
        "--ca, --cert and --key belong together: give all three for mutual "
        "TLS, or none for plain text");
  }
  return rpc::Tls{globals.cert_file, globals.key_file, globals.ca_file};
}

}  // namespace

class Client::Impl {
 public:
  Impl(std::unique_ptr<v1::TenantRegistry::Stub> stub, absl::Duration timeout,
       Interrupt* interrupt)
      : stub_(std::move(stub)), timeout_(timeout), interrupt_(*interrupt) {}

  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (v1::TenantRegistry::Stub::*method)(grpc::ClientContext*,
                                                       const Request&,
                                                       Response*),
      const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout_));
    const Interrupt::Scope scope(&interrupt_,
                                 [&context] { context.TryCancel(); });
    Response response;
    const grpc::Status status =
        ((*stub_).*method)(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    return response;
  }

  v1::TenantRegistry::Stub& stub() { return *stub_; }
  Interrupt& interrupt() { return interrupt_; }

 private:
  const std::unique_ptr<v1::TenantRegistry::Stub> stub_;
  const absl::Duration timeout_;
  Interrupt& interrupt_;
};

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Make(const Globals& globals,
                                                     Interrupt* interrupt) {
  if (globals.timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("--timeout must be more than 0");
  }
  RETURN_IF_ERROR(CheckServer(globals.server));
  setenv(kPollVariable, kPollMs, /*overwrite=*/0);  // Before gRPC reads it.
  rpc::ChannelOptions options;
  options.address = globals.server;
  options.service = "tenant-registry";
  ASSIGN_OR_RETURN(options.tls, TlsOf(globals));
  grpc::ChannelArguments& arguments = options.arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
  metrics::Registry unseen;
  ASSIGN_OR_RETURN(const auto channel,
                   rpc::Channel::Make(std::move(options), &unseen));
  auto stub = v1::TenantRegistry::NewStub(channel->Get());
  return std::unique_ptr<Client>(new Client(
      std::make_unique<Impl>(std::move(stub), globals.timeout, interrupt)));
}

absl::StatusOr<v1::GetResponse> Client::Get(const v1::GetRequest& request) {
  return impl_->Call(&v1::TenantRegistry::Stub::Get, request);
}
absl::StatusOr<v1::ListResponse> Client::List(const v1::ListRequest& request) {
  return impl_->Call(&v1::TenantRegistry::Stub::List, request);
}
absl::StatusOr<v1::StatusResponse> Client::Status() {
  return impl_->Call(&v1::TenantRegistry::Stub::Status, v1::StatusRequest());
}
absl::StatusOr<v1::ListAuditResponse> Client::ListAudit(
    const v1::ListAuditRequest& request) {
  return impl_->Call(&v1::TenantRegistry::Stub::ListAudit, request);
}
absl::StatusOr<v1::ResolveResponse> Client::Resolve(
    const v1::ResolveRequest& request) {
  return impl_->Call(&v1::TenantRegistry::Stub::Resolve, request);
}

absl::StatusOr<v1::ApplyResponse> Client::Apply(const v1::ApplyRequest& request,
                                                absl::Time deadline) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(deadline));
  v1::ApplyResponse response;
  const grpc::Status status = impl_->stub().Apply(&context, request, &response);
  if (!status.ok()) return rpc::FromGrpc(status);
  return response;
}

absl::Status Client::Watch(
    const v1::Subscribe& subscribe,
    absl::FunctionRef<bool(const v1::WatchResponse&)> take) {
  grpc::ClientContext context;
  const Interrupt::Scope scope(&impl_->interrupt(),
                               [&context] { context.TryCancel(); });
  const auto stream = impl_->stub().Watch(&context);
  v1::WatchRequest request;
  *request.mutable_subscribe() = subscribe;
  stream->Write(request);  // If it fails, so does Read.
  bool enough = false;
  v1::WatchResponse response;
  while (!enough && stream->Read(&response)) {
    enough = !take(response);
    if (response.phase() == v1::WatchResponse::PHASE_SNAPSHOT ||
        response.phase() == v1::WatchResponse::PHASE_RESET) {
      continue;
    }
    request.mutable_ack()->set_revision(response.revision());
    stream->Write(request);
  }
  if (enough) context.TryCancel();
  const grpc::Status status = stream->Finish();
  if (enough) return absl::OkStatus();
  // A registry that stops ends its streams with OK.
  if (status.ok()) return absl::UnavailableError("the registry is stopping");
  return rpc::FromGrpc(status);
}

absl::Status Client::Backup(
    absl::FunctionRef<absl::Status(const v1::BackupResponse&)> take) {
  grpc::ClientContext context;
  const Interrupt::Scope scope(&impl_->interrupt(),
                               [&context] { context.TryCancel(); });
  const auto stream = impl_->stub().Backup(&context, v1::BackupRequest());
  v1::BackupResponse response;
  absl::Status taken;
  while (taken.ok() && stream->Read(&response)) taken = take(response);
  if (!taken.ok()) context.TryCancel();
  const grpc::Status status = stream->Finish();
  if (!taken.ok()) return taken;
  return rpc::FromGrpc(status);
}

}  // namespace insula::insulactl
