// The HTTP listeners of a service, where tenants connect.
//
//   ASSIGN_OR_RETURN(const auto listeners,
//                    edge::Listeners::Start(edge::Plain(config.listeners),
//                                           limits, &handler, &process));
//   process.SetReady();
//   process.WaitForSignal();
//   listeners->Drain(process.DrainTimeLeft());
#pragma once

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/audit/audit_log.h"
#include "libs/auth/authenticator.h"
#include "libs/edge/handler.h"
#include "libs/edge/listener_config.h"
#include "libs/http/server.h"
#include "libs/runtime/process.h"

namespace insula::edge {

class Listeners {
 public:
  // Binds every listener of `configs`, hands its requests to `handler`, and
  // announces all. `limits` holds for each of them, but for what its own
  // settings say and for `admit`, which is the handler's. `handler` and
  // `process` outlive the result. Errors are those of
  // http::Server::Start and auth::MakeMethods and name the listener; then none
  // is left listening.
  // `audit`, which may be null and outlives the result, hears of the callers
  // that are refused.
  static absl::StatusOr<std::unique_ptr<Listeners>> Start(
      const std::vector<ListenerConfig>& configs,
      const http::ServerOptions& limits, Handler* handler,
      runtime::Process* process, audit::AuditLog* audit = nullptr);

  // Drains all at the same time; see http::Server. Blocks.
  void Drain(absl::Duration timeout);

 private:
  struct Listener {
    std::string name;
    std::unique_ptr<const auth::Authenticator> auth;
    std::unique_ptr<http::Server> server;
  };
  std::list<Listener> listeners_;  // Requests point to `auth`.
};

}  // namespace insula::edge
