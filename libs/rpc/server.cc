#include "libs/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/impl/server_builder_plugin.h>
#include <grpcpp/impl/server_initializer.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <mutex>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/logging/logging.h"
#include "libs/rpc/guard.h"
#include "libs/rpc/roles.h"
#include "libs/rpc/server_credentials.h"
#include "libs/status/status_macros.h"

namespace insula::rpc {
namespace {

// Bounds on what one peer may cost.
constexpr int kMaxStreamsPerConnection = 100;
constexpr int kMaxMetadataBytes = 16 << 10;
constexpr int kKeepaliveMs = 30'000;  // Finds peers that vanished silently.
constexpr int kKeepaliveTimeoutMs = 10'000;
constexpr int kMinPingIntervalMs = 10'000;  // Faster pings end a connection.

// Learns the names of the services that a server was built with.
class NamesPlugin final : public grpc::ServerBuilderPlugin {
 public:
  explicit NamesPlugin(std::shared_ptr<std::vector<std::string>> names)
      : names_(std::move(names)) {}
  std::string name() override { return "service_names"; }
  void InitServer(grpc::ServerInitializer* /*initializer*/) override {}
  void Finish(grpc::ServerInitializer* initializer) override {
    *names_ = *initializer->GetServiceList();
  }
  void ChangeArguments(const std::string& /*name*/, void* /*value*/) override {}

 private:
  const std::shared_ptr<std::vector<std::string>> names_;
};

class NamesOption final : public grpc::ServerBuilderOption {
 public:
  explicit NamesOption(std::shared_ptr<std::vector<std::string>> names)
      : names_(std::move(names)) {}
  void UpdateArguments(grpc::ChannelArguments* /*arguments*/) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>*
                         plugins) override {
    plugins->push_back(std::make_unique<NamesPlugin>(names_));
  }

 private:
  const std::shared_ptr<std::vector<std::string>> names_;
};

// Both are switches of the process and apply to builders made afterwards.
void EnableStandardServices() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

void SetLimits(const ServerOptions& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(options.max_receive_bytes);
  // The limit is that of a message as it comes, and 4 MiB unpack to 4 GiB.
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              kMaxStreamsPerConnection);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                              kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      kMinPingIntervalMs);
  // Two processes on one port would share its callers without a word.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

// Of plain text there is no guard.
absl::StatusOr<TlsServer> CredentialsOf(const ServerOptions& options) {
  if (options.tls.has_value()) {
    CallerRules rules;
    rules.admins = options.admins;
    rules.bindings = options.bindings;
    return MakeTlsServer(*options.tls, std::move(rules),
                         options.recheck_interval, options.metrics,
                         options.on_refused);
  }
  logging::Warn(
      "gRPC is served in plain text: whoever reaches it may do everything",
      {{"address", options.listen_address}});
  return TlsServer{grpc::InsecureServerCredentials(), nullptr};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    const ServerOptions& options, std::vector<grpc::Service*> services) {
  ASSIGN_OR_RETURN(const TlsServer tls, CredentialsOf(options));
  EnableStandardServices();
  const auto names = std::make_shared<std::vector<std::string>>();
  std::unique_ptr<Server> server(new Server());
  grpc::ServerBuilder builder;
  builder.AddListeningPort(options.listen_address, tls.credentials,
                           &server->port_);
  if (tls.guard != nullptr) UseGuard(tls.guard, &builder);
  builder.SetOption(std::make_unique<NamesOption>(names));
  SetLimits(options, &builder);
  for (grpc::Service* service : services) builder.RegisterService(service);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || server->port_ <= 0) {
    return absl::UnavailableError(
        absl::StrCat("can't listen on ", options.listen_address,
                     ": is the address of this host, and free?"));
  }
  RETURN_IF_ERROR(CheckRoles(*names));
  server->address_ = options.listen_address;
  if (!absl::StartsWith(options.listen_address, "unix:")) {
    server->address_.resize(options.listen_address.rfind(':'));
    absl::StrAppend(&server->address_, ":", server->port_);
  }
  server->service_names_ = *names;
  server->SetServing(true);
  return server;
}

Server::~Server() { Drain(absl::ZeroDuration()); }

void Server::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  health->SetServingStatus("", serving);
  for (const std::string& name : service_names_) {
    health->SetServingStatus(name, serving);
  }
}

void Server::Drain(absl::Duration timeout) {
  if (server_ == nullptr) return;
  SetServing(false);
  server_->Shutdown(absl::ToChronoTime(absl::Now() + timeout));
  server_->Wait();
  server_ = nullptr;
}

}  // namespace insula::rpc
