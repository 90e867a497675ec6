// Converts between absl::Status and grpc::Status.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace insula::rpc {

// The same code and message; a message is cut to 4 KiB, since it travels in a
// header.
grpc::Status ToGrpc(const absl::Status& status);

// UNKNOWN for a code that is not one of gRPC's.
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace insula::rpc
