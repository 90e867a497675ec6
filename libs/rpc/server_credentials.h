// What a gRPC server with mutual TLS shows and demands. For libs/rpc alone.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/metrics/metrics.h"
#include "libs/rpc/tls.h"

namespace insula::rpc {

// Demands a certificate of the CA from each client, and refuses calls that its
// identity may not make (callers.h). The files are looked at when a client
// connects (libs/tls/followed_files.h): connections that are open go on with
// what they began with.
//
// INVALID_ARGUMENT: the files can't be used. `metrics` outlives what is
// returned, the server and its calls. Metrics:
// insula_rpc_calls_refused_total.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> TlsServerCredentials(
    const Tls& tls, std::vector<std::string> admins,
    metrics::Registry* metrics);

}  // namespace insula::rpc
