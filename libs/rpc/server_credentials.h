// What a gRPC server with mutual TLS shows and demands. For libs/rpc alone.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/metrics/metrics.h"
#include "libs/rpc/callers.h"
#include "libs/rpc/guard.h"
#include "libs/rpc/refused_call.h"
#include "libs/rpc/tls.h"

namespace insula::rpc {

struct TlsServer {
  std::shared_ptr<grpc::ServerCredentials> credentials;
  // Judges the calls; the server is to use it (UseGuard).
  std::shared_ptr<Guard> guard;
};

// Demands a certificate of the CA from each client, and refuses calls that it
// may not make by `rules` (callers.h), whose trust domain is set here. The
// files are looked at when a client connects (libs/tls/followed_files.h):
// connections that are open go on with what they began with.
//
// INVALID_ARGUMENT: the files can't be used. `metrics` outlives what is
// returned, the server and its calls. Metrics:
// insula_rpc_calls_refused_total. `on_refused` hears of those calls.
absl::StatusOr<TlsServer> MakeTlsServer(const Tls& tls, CallerRules rules,
                                        absl::Duration recheck_interval,
                                        metrics::Registry* metrics,
                                        OnRefused on_refused);

}  // namespace insula::rpc
