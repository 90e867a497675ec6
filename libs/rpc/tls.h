// Mutual TLS between services.
#pragma once

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace insula::rpc {

// PEM files: own certificate and key, and the CA of the peers.
struct Tls {
  std::string cert_file;
  std::string key_file;
  std::string ca_file;
};

// Plain text when `tls` is unset. INVALID_ARGUMENT names a file that can't be
// read.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentials(
    const std::optional<Tls>& tls);
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentials(
    const std::optional<Tls>& tls);

}  // namespace insula::rpc
