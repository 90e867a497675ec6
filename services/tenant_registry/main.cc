// Serves the tenant registry. See docs/services/tenant-registry.md.
#include "libs/runtime/main.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/audit/audit_log.h"
#include "libs/rpc/server.h"
#include "libs/status/status_macros.h"
#include "libs/time/clock.h"
#include "services/tenant_registry/caller_bindings.h"
#include "services/tenant_registry/config.h"
#include "services/tenant_registry/file_source.h"
#include "services/tenant_registry/kube_source.h"
#include "services/tenant_registry/registry.h"
#include "services/tenant_registry/sqlite_store.h"
#include "services/tenant_registry/tenant_registry_service.h"
#include "services/tenant_registry/upkeep.h"

namespace insula::tenant_registry {
namespace {

absl::Status Run(const Config& config, runtime::Process& process) {
  // Build, in dependency order; destruction undoes it in reverse.
  ASSIGN_OR_RETURN(const std::unique_ptr<audit::AuditLog> audit,
                   audit::AuditLog::Open(config.audit, process.service(),
                                         &process.clock(), &process.metrics()));
  ASSIGN_OR_RETURN(std::unique_ptr<Store> store,
                   OpenSqliteStore(config.storage.path));
  ASSIGN_OR_RETURN(
      const std::shared_ptr<Registry> registry,
      Registry::Open(std::move(store), config.registry_options(),
                     {process.executor(), &process.blocking(), &process.clock(),
                      &process.metrics(), SteadyClock::Get(), audit.get()}));
  const RegistryBindings bindings(registry);
  TenantRegistryService service(registry, config.watch, process.executor());
  FileSource files(registry, config.sources, process.executor(),
                   &process.blocking());
  ASSIGN_OR_RETURN(const std::unique_ptr<KubeSource> kubernetes,
                   KubeSource::Start(registry, config.kubernetes, process));
  const Upkeep upkeep(registry, process.executor());

  // Serve. A follower that came before the first import would be ready too
  // early and refuse callers.
  files.WaitUntilReady(absl::Seconds(10)).IgnoreError();  // /readyz tells.
  const rpc::ServerOptions options = config.internal.ServerAt(
      config.grpc.listen_address, &bindings, &process.metrics(), audit.get());
  ASSIGN_OR_RETURN(const std::unique_ptr<rpc::Server> server,
                   rpc::Server::Start(options, {&service}));
  process.Announce("grpc", server->address());
  process.AddReadyCheck("files", [&files] { return files.Ready(); });
  process.OnReload([&files] { files.Reload(); });
  process.SetReady();
  process.WaitForSignal();

  // Drain: end the watches, finish open calls and what they have begun.
  registry->CloseWatches();
  server->Drain(process.DrainTimeLeft());
  registry->Finish();
  return absl::OkStatus();
}

}  // namespace
}  // namespace insula::tenant_registry

int main(int argc, char** argv) {
  return insula::runtime::Main("tenant-registry", argc, argv,
                               insula::tenant_registry::Run);
}
