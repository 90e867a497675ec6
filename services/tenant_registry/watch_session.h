// One Watch, from Subscribe to its end.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/rpc/serve.h"
#include "services/tenant_registry/registry.h"
#include "services/tenant_registry/tenant_registry_service.h"

namespace insula::tenant_registry {

using WatchStream = rpc::ServerStream<v1::WatchRequest, v1::WatchResponse>;

// `stream` outlives the coroutine.
boost::asio::awaitable<absl::Status> ServeWatch(
    WatchStream* stream, std::shared_ptr<Registry> registry,
    WatchOptions options);

// The fewest DELTAs for consecutive changes, of about `max_bytes` each: of
// several changes of an object the last one counts. `wants` chooses the kinds.
std::vector<v1::WatchResponse> MergeChanges(
    const std::vector<ChangePtr>& changes,
    const std::function<bool(v1::Kind)>& wants, size_t max_bytes);

}  // namespace insula::tenant_registry
