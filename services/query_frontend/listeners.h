// The HTTP listeners of the service.
#pragma once

#include <list>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/http/client.h"
#include "libs/http/server.h"
#include "libs/runtime/process.h"
#include "services/query_frontend/api_handler.h"
#include "services/query_frontend/config.h"

namespace insula::query_frontend {

// The settings of the client that asks stores.
http::ClientOptions ClientOptionsOf(const UpstreamConfig& config);

class Listeners {
 public:
  // Binds and announces every listener of `config`. `handler` and `process`
  // outlive the result.
  static absl::StatusOr<std::unique_ptr<Listeners>> Start(
      const Config& config, ApiHandler* handler, runtime::Process* process);

  // Drains all at the same time; see http::Server. Blocks.
  void Drain(absl::Duration timeout);

 private:
  struct Listener {
    auth::ListenerAuth auth;
    std::unique_ptr<http::Server> server;
  };
  std::list<Listener> listeners_;  // Handlers point to `auth`.
};

}  // namespace insula::query_frontend
