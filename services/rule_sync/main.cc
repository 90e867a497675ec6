// Keeps the rules of tenants at their evaluators. See
// docs/services/rule-sync.md.
#include "libs/runtime/main.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/audit/audit_log.h"
#include "libs/callers/snapshot_bindings.h"
#include "libs/http/client.h"
#include "libs/outbound/credentials.h"
#include "libs/registry_client/registry_client.h"
#include "libs/rpc/server.h"
#include "libs/status/status_macros.h"
#include "services/rule_sync/config.h"
#include "services/rule_sync/file_owners.h"
#include "services/rule_sync/ledger.h"
#include "services/rule_sync/metrics.h"
#include "services/rule_sync/reconciler.h"
#include "services/rule_sync/rule_sync_service.h"
#include "services/rule_sync/wiring.h"

namespace insula::rule_sync {
namespace {

absl::Status Run(const Config& config, runtime::Process& process) {
  // Build, in dependency order; destruction undoes it in reverse.
  ASSIGN_OR_RETURN(const auto audit,
                   audit::AuditLog::Open(config.audit, process.service(),
                                         &process.clock(), &process.metrics()));
  Metrics metrics(&process.metrics());
  ASSIGN_OR_RETURN(http::ClientOptions targets,
                   outbound::Outfit(config.ClientOptions(), config.credentials,
                                    outbound::ContextOf(&process)));
  http::Client client(std::move(targets), process.executor(),
                      &process.metrics());
  ASSIGN_OR_RETURN(Ledger ledger, Ledger::Open(config.targets.ledger_file));
  ASSIGN_OR_RETURN(FileOwners owners, FileOwners::Open(FileOwnersPath(config)));
  Reconciler reconciler(ReconcilerOptionsOf(config), std::move(ledger),
                        std::move(owners),
                        TargetMaker(config, &client, &process.blocking()),
                        process.executor(), &process.blocking(), &metrics);
  ASSIGN_OR_RETURN(
      const auto registry,
      registry_client::RegistryClient::Start(
          config.RegistryOptions(),
          {registry::v1::KIND_TENANT, registry::v1::KIND_RULE_TARGET,
           registry::v1::KIND_UPSTREAM, registry::v1::KIND_ACCESS,
           registry::v1::KIND_BINDING},
          process.executor(), &process.metrics()));
  FollowRegistry(registry.get(), &reconciler);
  const callers::SnapshotBindings bindings(
      [&registry] { return registry->snapshot(); }, &process.clock());
  RuleSyncService service(SnapshotOf(registry.get()), CompilerOptionsOf(config),
                          &reconciler, &process.blocking(), process.executor());
  const rpc::ServerOptions options =
      config.ServerOptions(&bindings, &process.metrics(), audit.get());
  ASSIGN_OR_RETURN(const auto grpc, rpc::Server::Start(options, {&service}));

  // Serve.
  process.Announce("grpc", grpc->address());
  process.AddReadyCheck("registry", [&registry] { return registry->Ready(); });
  process.AddReadyCheck("rules",
                        [&reconciler] { return reconciler.DirectoryReady(); });
  process.OnReload([&reconciler] { reconciler.Rescan(); });
  process.SetReady();
  process.WaitForSignal();

  // Drain: finish open calls. What is being synced is broken off; the next
  // process goes on from there.
  grpc->Drain(process.DrainTimeLeft());
  return absl::OkStatus();
}

}  // namespace
}  // namespace insula::rule_sync

int main(int argc, char** argv) {
  return insula::runtime::Main("rule-sync", argc, argv, insula::rule_sync::Run);
}
