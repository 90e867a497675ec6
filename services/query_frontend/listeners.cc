#include "services/query_frontend/listeners.h"

#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/status/annotate.h"

namespace insula::query_frontend {
namespace {

http::ServerOptions ServerOptionsOf(const ListenerConfig& listener,
                                    const ApiConfig& api) {
  http::ServerOptions options;
  options.name = listener.name;
  options.listen_address = listener.listen_address;
  options.max_connections = listener.max_connections;
  options.max_header_bytes = api.max_head.value;
  options.max_body_bytes = api.max_body.value;
  options.max_buffered_bytes = api.max_buffered.value;
  options.request_timeout = api.timeout;
  if (!listener.tls_cert_file.empty()) {
    options.tls = http::ServerTls{listener.tls_cert_file, listener.tls_key_file,
                                  listener.tls_client_ca_file};
  }
  return options;
}

}  // namespace

http::ClientOptions ClientOptionsOf(const UpstreamConfig& config) {
  http::ClientOptions options;
  options.name = "upstream";
  options.max_response_bytes = config.max_response.value;
  options.max_connections_per_host = config.max_connections;
  options.connect_timeout = config.connect_timeout;
  if (!config.tls_ca_file.empty() || !config.tls_cert_file.empty()) {
    options.tls = http::ClientTls{config.tls_ca_file, config.tls_cert_file,
                                  config.tls_key_file, ""};
  }
  return options;
}

absl::StatusOr<std::unique_ptr<Listeners>> Listeners::Start(
    const Config& config, ApiHandler* handler, runtime::Process* process) {
  auto listeners = std::make_unique<Listeners>();
  for (const ListenerConfig& wanted : config.listeners) {
    Listener& listener = listeners->listeners_.emplace_back();
    listener.auth = wanted.auth;
    const auth::ListenerAuth* auth = &listener.auth;
    http::ServerOptions options = ServerOptionsOf(wanted, config.api);
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
      return Annotate(server.status(), absl::StrCat("listener ", wanted.name));
    }
    listener.server = *std::move(server);
    process->Announce(wanted.name, listener.server->address());
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

}  // namespace insula::query_frontend
