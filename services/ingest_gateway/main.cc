// ingest-gateway: takes remote write of many tenants and gives each its own.
#include "libs/runtime/main.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/audit/audit_log.h"
#include "libs/callers/snapshot_bindings.h"
#include "libs/edge/listeners.h"
#include "libs/http/client.h"
#include "libs/outbound/credentials.h"
#include "libs/registry_client/registry_client.h"
#include "libs/rpc/server.h"
#include "libs/runtime/process.h"
#include "libs/runtime/version.h"
#include "libs/status/status_macros.h"
#include "services/ingest_gateway/config.h"
#include "services/ingest_gateway/dead_letters.h"
#include "services/ingest_gateway/ingest_gateway_service.h"
#include "services/ingest_gateway/operator_pages.h"
#include "services/ingest_gateway/queue.h"
#include "services/ingest_gateway/tenant_state.h"
#include "services/ingest_gateway/upstream_sender.h"
#include "services/ingest_gateway/write_handler.h"

namespace insula::ingest_gateway {

namespace v1 = registry::v1;

absl::Status Run(const Config& config, runtime::Process& process) {
  // Build, in dependency order; destruction undoes it in reverse.
  ASSIGN_OR_RETURN(const auto audit,
                   audit::AuditLog::Open(config.audit, process.service(),
                                         &process.clock(), &process.metrics()));
  ASSIGN_OR_RETURN(const auto registry,
                   registry_client::RegistryClient::Start(
                       config.RegistryOptions(),
                       {v1::KIND_TENANT, v1::KIND_BINDING, v1::KIND_UPSTREAM,
                        v1::KIND_CLAIM_RULE, v1::KIND_LIMITS},
                       process.executor(), &process.metrics()));
  ASSIGN_OR_RETURN(
      http::ClientOptions upstreams,
      outbound::Outfit(config.write.ClientOptions(), config.credentials,
                       outbound::ContextOf(&process)));
  http::Client client(std::move(upstreams), process.executor(),
                      &process.metrics());
  const auto snapshots = [&registry] { return registry->snapshot(); };
  ASSIGN_OR_RETURN(const auto dead_letters,
                   DeadLetters::Open(config.dead_letters, &process.blocking(),
                                     &process.clock(), &process.metrics()));
  UpstreamSender sender(absl::StrCat("insula/", runtime::Version()), &client,
                        &process.clock(), &process.metrics(),
                        dead_letters.get());
  ASSIGN_OR_RETURN(
      const auto queue,
      Queue::Open(config.queue, snapshots, &sender, &process.blocking(),
                  process.executor(), &process.clock(), &process.metrics()));
  WriteHandler handler(config.write, snapshots, &sender, process.executor(),
                       &process.clock(), &process.metrics(), queue.get());
  const callers::SnapshotBindings bindings(snapshots, &process.clock());
  const OperatorPages pages(
      config.write,
      {.snapshots = snapshots,
       .state = TenantStates(&handler.active_series(), queue.get(),
                             &process.clock())},
      &process.clock(), &handler.usage(), &handler.refusals());
  IngestGatewayService service(config.write, snapshots, &process.clock(),
                               &handler, &pages, process.executor());

  // Serve.
  const rpc::ServerOptions options = config.internal.ServerAt(
      config.grpc.listen_address, &bindings, &process.metrics(), audit.get());
  ASSIGN_OR_RETURN(const auto grpc, rpc::Server::Start(options, {&service}));
  process.Announce("grpc", grpc->address());
  ASSIGN_OR_RETURN(const auto listeners,
                   edge::Listeners::Start(edge::Plain(config.listeners),
                                          config.write.ServerLimits(), &handler,
                                          &process, audit.get()));
  pages.AddTo(&process);
  process.AddReadyCheck("registry", [&registry] { return registry->Ready(); });
  if (queue != nullptr) {
    process.AddReadyCheck("queue", [&queue] { return queue->Ready(); });
  }
  process.SetReady();
  process.WaitForSignal();

  // Drain: writes that are open get their answers.
  listeners->Drain(process.DrainTimeLeft());
  grpc->Drain(process.DrainTimeLeft());
  return absl::OkStatus();
}

}  // namespace insula::ingest_gateway

int main(int argc, char** argv) {
  return insula::runtime::Main("ingest-gateway", argc, argv,
                               insula::ingest_gateway::Run);
}
