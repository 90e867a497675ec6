// One Watch, from Subscribe to its end.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "absl/status/status.h"
#include "libs/rpc/serve.h"
#include "services/tenant_registry/registry.h"
#include "services/tenant_registry/tenant_registry_service.h"
#include "services/tenant_registry/watch_encoder.h"

namespace insula::tenant_registry {

// Of serialized WatchRequests and WatchResponses.
using WatchStream = rpc::ServerStream<grpc::ByteBuffer, grpc::ByteBuffer>;

// `stream` and `encoder` outlive the coroutine.
boost::asio::awaitable<absl::Status> ServeWatch(
    WatchStream* stream, std::shared_ptr<Registry> registry,
    WatchOptions options, WatchEncoder* encoder);

}  // namespace insula::tenant_registry
