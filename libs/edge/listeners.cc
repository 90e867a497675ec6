#include "libs/edge/listeners.h"

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/status/annotate.h"

namespace insula::edge {
namespace {

http::ServerOptions OptionsOf(const ListenerConfig& config,
                              const http::ServerOptions& limits) {
  http::ServerOptions options = limits;
  options.name = config.name;
  options.listen_address = config.listen_address;
  options.max_connections = config.max_connections;
  if (!config.tls_cert_file.empty()) {
    options.tls = http::ServerTls{config.tls_cert_file, config.tls_key_file,
                                  config.tls_client_ca_file};
  }
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listeners>> Listeners::Start(
    const std::vector<ListenerConfig>& configs,
    const http::ServerOptions& limits, Handler* handler,
    runtime::Process* process) {
  auto listeners = std::make_unique<Listeners>();
  for (const ListenerConfig& config : configs) {
    Listener& listener = listeners->listeners_.emplace_back();
    listener.auth = config.auth;
    const auth::ListenerAuth* const auth = &listener.auth;
    http::ServerOptions options = OptionsOf(config, limits);
    options.admit = [handler, auth](const http::Request& request) {
      return handler->Admit(request, auth);
    };
    absl::StatusOr<std::unique_ptr<http::Server>> server = http::Server::Start(
        std::move(options), process->executor(),
        [handler, auth](http::Request request) {
          return handler->Handle(std::move(request), auth);
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
