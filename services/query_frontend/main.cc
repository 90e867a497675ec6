// Serves Prometheus' HTTP API to tenants. See docs/services/query-frontend.md.

#include "libs/runtime/main.h"

#include <utility>

#include "absl/status/status.h"
#include "libs/audit/audit_log.h"
#include "libs/callers/snapshot_bindings.h"
#include "libs/edge/listeners.h"
#include "libs/http/client.h"
#include "libs/outbound/credentials.h"
#include "libs/registry_client/registry_client.h"
#include "libs/rpc/server.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/admission.h"
#include "services/query_frontend/answering.h"
#include "services/query_frontend/api_handler.h"
#include "services/query_frontend/asking.h"
#include "services/query_frontend/backend.h"
#include "services/query_frontend/caching.h"
#include "services/query_frontend/config.h"
#include "services/query_frontend/kubernetes.h"
#include "services/query_frontend/metrics.h"
#include "services/query_frontend/operator_pages.h"
#include "services/query_frontend/pools.h"
#include "services/query_frontend/query_frontend_service.h"
#include "services/query_frontend/request_book.h"

namespace insula::query_frontend {
namespace {

namespace v1 = registry::v1;

absl::Status Run(const Config& config, runtime::Process& process) {
  // Build, in dependency order; destruction undoes it in reverse.
  ASSIGN_OR_RETURN(const auto audit,
                   audit::AuditLog::Open(config.audit, process.service(),
                                         &process.clock(), &process.metrics()));
  Metrics metrics(&process.metrics());
  ASSIGN_OR_RETURN(
      http::ClientOptions stores,
      outbound::Outfit(config.upstream.ClientOptions(), config.credentials,
                       outbound::ContextOf(&process)));
  ASSIGN_OR_RETURN(const auto kubernetes,
                   ConnectKubernetes(config.kubernetes, &process));
  Pools pools(config.upstream.pools,
              {.executor = process.executor(),
               .client = std::make_shared<http::Client>(
                   std::move(stores), process.executor(), &process.metrics()),
               .metrics = &process.metrics(),
               .run_blocking =
                   [&process](std::function<absl::Status()> work) {
                     return process.blocking().Run(std::move(work));
                   },
               .kubernetes = kubernetes.get()});
  ASSIGN_OR_RETURN(const auto registry,
                   registry_client::RegistryClient::Start(
                       config.RegistryOptions(),
                       {v1::KIND_TENANT, v1::KIND_BINDING, v1::KIND_UPSTREAM,
                        v1::KIND_LIMITS, v1::KIND_ACCESS},
                       process.executor(), &process.metrics()));
  process.AddReadyCheck("registry", [&] { return registry->Ready(); });
  registry->OnChange([&pools](const auto& now) { pools.Follow(*now); });
  const auto snapshots = [&registry] { return registry->snapshot(); };
  Backend backend(&process.clock(), &metrics,
                  config.upstream.max_response.value, process.executor());
  Admission admission(config.queue, &process.metrics(), &metrics);
  Asking asking(&admission, &backend);
  Caching caching(config.cache, &asking, config.upstream.max_response.value,
                  {.executor = process.executor(),
                   .clock = &process.clock(),
                   .metrics = &process.metrics()});
  ConfinedQueries confined_queries(ConfinedQueries::kMaxBytes,
                                   &process.metrics());
  Answering answering(&confined_queries, &caching, &metrics,
                      config.upstream.max_response.value, config.api.answers);
  RequestBook book(config.api.book, &process.clock(), &metrics);
  const OperatorPages pages(snapshots, &process.clock(), &book, &pools,
                            &backend, &metrics, &process.metrics());
  ApiHandler handler(snapshots, &process.clock(), &pools, &admission,
                     &answering, &book, &pages, &metrics);
  const callers::SnapshotBindings bindings(snapshots, &process.clock());
  QueryFrontendService service(snapshots, &pools, &handler, config.api.timeout,
                               config.upstream.max_response.value,
                               process.executor());

  // Serve.
  const rpc::ServerOptions options = config.internal.ServerAt(
      config.grpc.listen_address, &bindings, &process.metrics(), audit.get());
  ASSIGN_OR_RETURN(const auto grpc, rpc::Server::Start(options, {&service}));
  process.Announce("grpc", grpc->address());
  ASSIGN_OR_RETURN(const auto http,
                   edge::Listeners::Start(edge::Plain(config.listeners),
                                          config.api.ServerLimits(), &handler,
                                          &process, audit.get()));
  process.SetReady();
  process.WaitForSignal();

  // Drain: refuse new requests, finish open ones.
  http->Drain(process.DrainTimeLeft());
  grpc->Drain(process.DrainTimeLeft());
  return absl::OkStatus();
}

}  // namespace
}  // namespace insula::query_frontend

int main(int argc, char** argv) {
  return insula::runtime::Main("query-frontend", argc, argv,
                               insula::query_frontend::Run);
}
