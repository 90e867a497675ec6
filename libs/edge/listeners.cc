#include "libs/edge/listeners.h"

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/auth/methods.h"
#include "libs/http/proxy.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/time/clock.h"

namespace insula::edge {
namespace {

http::ServerOptions OptionsOf(const ListenerConfig& config,
                              const http::ServerOptions& limits) {
  http::ServerOptions options = limits;
  options.name = config.name;
  options.listen_address = config.listen_address;
  options.max_connections = config.max_connections;
  options.max_connections_per_address = config.max_connections_per_address;
  if (!config.tls_cert_file.empty()) {
    options.tls =
        http::ServerTls{config.tls_cert_file, config.tls_key_file,
                        config.tls_client_ca_file, config.tls_client_crl_file};
  }
  return options;
}

// An answer of the handler that tells how to get in, if it does not let in.
http::Response WithChallenges(http::Response response,
                              const auth::Authenticator& auth) {
  if (response.status != 401) return response;
  response.headers.Remove("WWW-Authenticate");
  for (const std::string& challenge : auth.challenges()) {
    response.headers.Add("WWW-Authenticate", challenge);
  }
  return response;
}

boost::asio::awaitable<http::Response> Answer(Handler* handler,
                                              const auth::Authenticator* auth,
                                              http::Request request) {
  http::Response response = co_await handler->Handle(std::move(request), auth);
  co_return WithChallenges(std::move(response), *auth);
}

// What the audit hears of a request that was refused. Its query may hold label
// values, and what it claims to be is not repeated.
audit::Event RefusalEvent(const std::string& listener,
                          const http::Request& request,
                          const auth::Refusal& refusal) {
  audit::Event event;
  event.event = "request";
  event.decision = "refused";
  event.code = absl::StatusCodeToString(refusal.why.code());
  event.method = absl::StrCat(request.method, " ", request.path());
  event.reason = refusal.reason;
  event.principal = refusal.identity;
  event.tenant = refusal.tenant;
  event.listener = listener;
  event.peer = request.peer.address;
  event.request_id = request.id;
  return event;
}

absl::StatusOr<std::unique_ptr<const auth::Authenticator>> MakeAuthenticator(
    const ListenerConfig& config, runtime::Process* process,
    audit::AuditLog* audit) {
  auth::MethodContext context;
  context.executor = process->executor();
  context.run_blocking = [process](std::function<absl::Status()> work) {
    return process->blocking().Run(std::move(work));
  };
  context.clock = &process->clock();
  context.steady = SteadyClock::Get();
  context.metrics = &process->metrics();
  ASSIGN_OR_RETURN(context.proxy, http::ProxyRules::FromEnvironment());
  ASSIGN_OR_RETURN(auth::Methods methods,
                   auth::MakeMethods(config.auth, context));
  auto made =
      std::make_unique<auth::Authenticator>(config.auth, std::move(methods));
  if (audit != nullptr) {
    made->set_on_refusal(
        [listener = config.name, audit](const http::Request& request,
                                        const auth::Refusal& refusal) {
          audit->WriteRefusal(RefusalEvent(listener, request, refusal));
        });
  }
  return std::unique_ptr<const auth::Authenticator>(std::move(made));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listeners>> Listeners::Start(
    const std::vector<ListenerConfig>& configs,
    const http::ServerOptions& limits, Handler* handler,
    runtime::Process* process, audit::AuditLog* audit) {
  auto listeners = std::make_unique<Listeners>();
  for (const ListenerConfig& config : configs) {
    Listener& listener = listeners->listeners_.emplace_back();
    auto made = MakeAuthenticator(config, process, audit);
    if (!made.ok()) {
      return Annotate(made.status(),
                      absl::StrCat("listener '", config.name, "'"));
    }
    listener.auth = *std::move(made);
    const auth::Authenticator* const auth = listener.auth.get();
    http::ServerOptions options = OptionsOf(config, limits);
    options.connection_executors = process->loop_executors();
    options.admit =
        [handler,
         auth](const http::Request& request) -> std::optional<http::Response> {
      std::optional<http::Response> refusal = handler->Admit(request, auth);
      if (!refusal.has_value()) return std::nullopt;
      return WithChallenges(*std::move(refusal), *auth);
    };
    absl::StatusOr<std::unique_ptr<http::Server>> server = http::Server::Start(
        std::move(options), process->executor(),
        [handler, auth](http::Request request) {
          return Answer(handler, auth, std::move(request));
        },
        &process->metrics());
    if (!server.ok()) {
      return Annotate(server.status(),
                      absl::StrCat("listener '", config.name, "'"));
    }
    listener.name = config.name;
    listener.server = *std::move(server);
  }
  for (const Listener& listener : listeners->listeners_) {
    process->Announce(listener.name, listener.server->address());
  }
  return listeners;
}

void Listeners::Drain(absl::Duration timeout) {
  std::vector<std::thread> threads;
  for (Listener& listener : listeners_) {
    threads.emplace_back(
        [&listener, timeout] { listener.server->Drain(timeout); });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace insula::edge
