// One Backup, from the copy to its last piece.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/rpc/serve.h"
#include "services/tenant_registry/registry.h"

namespace insula::tenant_registry {

using BackupStream = rpc::ServerWriter<v1::BackupResponse>;

// `stream` outlives the coroutine. A client that does not take a piece within
// `write_timeout` is cut off with RESOURCE_EXHAUSTED.
boost::asio::awaitable<absl::Status> ServeBackup(
    BackupStream* stream, std::shared_ptr<Registry> registry,
    absl::Duration write_timeout);

}  // namespace insula::tenant_registry
