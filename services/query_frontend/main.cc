// Serves Prometheus' HTTP API to tenants. See docs/services/query-frontend.md.

#include "libs/runtime/main.h"

#include "absl/status/status.h"
#include "libs/edge/listeners.h"
#include "libs/http/client.h"
#include "libs/registry_client/registry_client.h"
#include "libs/rpc/server.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/api_handler.h"
#include "services/query_frontend/backend.h"
#include "services/query_frontend/config.h"
#include "services/query_frontend/metrics.h"
#include "services/query_frontend/query_frontend_service.h"

namespace insula::query_frontend {
namespace {

namespace v1 = registry::v1;

absl::Status Run(const Config& config, runtime::Process& process) {
  // Build, in dependency order; destruction undoes it in reverse.
  ASSIGN_OR_RETURN(const auto registry,
                   registry_client::RegistryClient::Start(
                       config.RegistryOptions(),
                       {v1::KIND_TENANT, v1::KIND_BINDING, v1::KIND_UPSTREAM,
                        v1::KIND_LIMITS, v1::KIND_ACCESS},
                       process.executor(), &process.metrics()));
  process.AddReadyCheck("registry", [&] { return registry->Ready(); });
  Metrics metrics(&process.metrics());
  http::Client client(config.upstream.ClientOptions(), process.executor(),
                      &process.metrics());
  Backend backend(&client, &process.clock(), &metrics,
                  config.upstream.max_response.value);
  const auto snapshots = [&registry] { return registry->snapshot(); };
  ApiHandler handler(snapshots, &process.clock(), &backend, &metrics);
  QueryFrontendService service(snapshots, process.executor());

  // Serve.
  ASSIGN_OR_RETURN(
      const auto grpc,
      rpc::Server::Start(config.internal.ServerAt(config.grpc.listen_address,
                                                  &process.metrics()),
                         {&service}));
  process.Announce("grpc", grpc->address());
  ASSIGN_OR_RETURN(
      const auto http,
      edge::Listeners::Start(edge::Plain(config.listeners),
                             config.api.ServerLimits(), &handler, &process));
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
