// federation-pusher: scrapes slices of metrics and delivers them to tenants.
#include "libs/runtime/main.h"

#include <memory>
#include <utility>

#include "libs/audit/audit_log.h"
#include "libs/callers/snapshot_bindings.h"
#include "libs/registry_client/registry_client.h"
#include "libs/rpc/server.h"
#include "libs/runtime/process.h"
#include "libs/status/status_macros.h"
#include "services/federation_pusher/config.h"
#include "services/federation_pusher/federation_pusher_service.h"
#include "services/federation_pusher/jobs.h"

namespace insula::federation_pusher {

absl::Status Run(const Config& config, runtime::Process& process) {
  // Build, in dependency order; destruction undoes it in reverse.
  ASSIGN_OR_RETURN(const auto audit,
                   audit::AuditLog::Open(config.audit, process.service(),
                                         &process.clock(), &process.metrics()));
  ASSIGN_OR_RETURN(const auto jobs, Jobs::Create(&config, &process));
  ASSIGN_OR_RETURN(const auto registry,
                   registry_client::RegistryClient::Start(
                       config.RegistryOptions(),
                       {registry::v1::KIND_TENANT, registry::v1::KIND_JOB,
                        registry::v1::KIND_BINDING},
                       process.executor(), &process.metrics()));
  registry->OnChange([&jobs](std::shared_ptr<const tenancy::Snapshot> now) {
    jobs->runner().Update(std::move(now));
  });
  const callers::SnapshotBindings bindings(
      [&registry] { return registry->snapshot(); }, &process.clock());
  FederationPusherService service(&jobs->runner(), process.executor());

  // Serve.
  const rpc::ServerOptions options = config.internal.ServerAt(
      config.grpc.listen_address, &bindings, &process.metrics(), audit.get());
  ASSIGN_OR_RETURN(const auto grpc, rpc::Server::Start(options, {&service}));
  process.Announce("grpc", grpc->address());
  process.AddReadyCheck("registry", [&registry] { return registry->Ready(); });
  process.SetReady();
  process.WaitForSignal();

  // Drain: runs that go on come to their end, and those who wait for them get
  // their answers.
  jobs->runner().Drain(process.DrainTimeLeft());
  grpc->Drain(process.DrainTimeLeft());
  return absl::OkStatus();
}

}  // namespace insula::federation_pusher

int main(int argc, char** argv) {
  return insula::runtime::Main("federation-pusher", argc, argv,
                               insula::federation_pusher::Run);
}
