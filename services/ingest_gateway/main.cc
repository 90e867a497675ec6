// ingest-gateway: takes remote write of many tenants and gives each its own.
#include "libs/runtime/main.h"

#include "absl/strings/str_cat.h"
#include "libs/edge/listeners.h"
#include "libs/http/client.h"
#include "libs/registry_client/registry_client.h"
#include "libs/rpc/server.h"
#include "libs/runtime/process.h"
#include "libs/runtime/version.h"
#include "libs/status/status_macros.h"
#include "services/ingest_gateway/config.h"
#include "services/ingest_gateway/ingest_gateway_service.h"
#include "services/ingest_gateway/write_handler.h"

namespace insula::ingest_gateway {

namespace v1 = registry::v1;

absl::Status Run(const Config& config, runtime::Process& process) {
  // Build, in dependency order; destruction undoes it in reverse.
  ASSIGN_OR_RETURN(const auto registry,
                   registry_client::RegistryClient::Start(
                       config.RegistryOptions(),
                       {v1::KIND_TENANT, v1::KIND_BINDING, v1::KIND_UPSTREAM,
                        v1::KIND_CLAIM_RULE, v1::KIND_LIMITS},
                       process.executor(), &process.metrics()));
  http::Client client(config.write.ClientOptions(), process.executor(),
                      &process.metrics());
  const auto snapshots = [&registry] { return registry->snapshot(); };
  WriteHandler handler(config.write,
                       absl::StrCat("insula/", runtime::Version()), snapshots,
                       &client, &process.clock(), &process.metrics());
  IngestGatewayService service(config.write, snapshots, &process.clock(),
                               process.executor());

  // Serve.
  ASSIGN_OR_RETURN(
      const auto grpc,
      rpc::Server::Start(config.internal.ServerAt(config.grpc.listen_address,
                                                  &process.metrics()),
                         {&service}));
  process.Announce("grpc", grpc->address());
  ASSIGN_OR_RETURN(
      const auto listeners,
      edge::Listeners::Start(edge::Plain(config.listeners),
                             config.write.ServerLimits(), &handler, &process));
  process.AddReadyCheck("registry", [&registry] { return registry->Ready(); });
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
