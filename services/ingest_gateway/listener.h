// The HTTP edges of the service: where writes come in, and how they go out.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/http/client.h"
#include "libs/http/server.h"
#include "libs/runtime/process.h"
#include "services/ingest_gateway/config.h"
#include "services/ingest_gateway/write_handler.h"

namespace insula::ingest_gateway {

http::ClientOptions UpstreamClientOptions(const WriteConfig& config);

// Starts and announces all listeners of `config`. All arguments outlive them.
absl::StatusOr<std::vector<std::unique_ptr<http::Server>>> StartListeners(
    const Config& config, WriteHandler* handler, runtime::Process* process);

}  // namespace insula::ingest_gateway
