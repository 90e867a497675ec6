#include "services/ingest_gateway/listener.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::ingest_gateway {
namespace {

http::ServerOptions OptionsOf(const ListenerConfig& listener,
                              const WriteConfig& write) {
  http::ServerOptions options;
  options.name = listener.name;
  options.listen_address = listener.listen_address;
  options.max_body_bytes = write.max_body.value;
  options.max_buffered_bytes = write.max_buffered.value;
  options.max_connections = listener.max_connections;
  // A little more than the handler takes at most.
  options.request_timeout = write.timeout + absl::Seconds(2);
  if (!listener.tls_cert_file.empty()) {
    options.tls = http::ServerTls{listener.tls_cert_file, listener.tls_key_file,
                                  listener.tls_client_ca_file};
  }
  return options;
}

}  // namespace

http::ClientOptions UpstreamClientOptions(const WriteConfig& config) {
  http::ClientOptions options;
  options.name = "upstream";
  // A store answers a write with a few words.
  options.max_response_bytes = 64 << 10;
  options.max_connections_per_host = config.max_upstream_connections;
  return options;
}

absl::StatusOr<std::vector<std::unique_ptr<http::Server>>> StartListeners(
    const Config& config, WriteHandler* handler, runtime::Process* process) {
  std::vector<std::unique_ptr<http::Server>> servers;
  for (const ListenerConfig& listener : config.listeners) {
    const auth::ListenerAuth* const auth = &listener.auth;
    http::ServerOptions options = OptionsOf(listener, config.write);
    options.admit = [handler, auth](const http::Request& request) {
      return handler->Admit(request, *auth);
    };
    auto server = http::Server::Start(
        std::move(options), process->executor(),
        [handler, auth](http::Request request) {
          return handler->Handle(std::move(request), auth);
        },
        &process->metrics());
    if (!server.ok()) {
      return Annotate(server.status(),
                      absl::StrCat("listener '", listener.name, "'"));
    }
    process->Announce(listener.name, (*server)->address());
    servers.push_back(*std::move(server));
  }
  return servers;
}

}  // namespace insula::ingest_gateway
