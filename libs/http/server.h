// An HTTP/1.1 server on coroutines.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/http/message.h"
#include "libs/http/tls.h"
#include "libs/metrics/metrics.h"

namespace insula::http {

// Answers one request. Runs on the strand of its connection; is cancelled when
// the client goes away or the deadline passes.
using Handler = std::function<boost::asio::awaitable<Response>(Request)>;

struct ServerOptions {
  std::string name;                            // In logs and metrics: "write".
  std::string listen_address = "127.0.0.1:0";  // host:port; port 0: a free one.
  size_t max_header_bytes = 32 << 10;          // 431 above it.
  size_t max_headers = 100;                    // 431 above it.
  size_t max_body_bytes = 32 << 20;            // 413 above it, also decoded.
  size_t max_buffered_bytes = 256 << 20;       // Bodies of all requests; 503.
  int max_connections = 10'000;  // Further ones wait in the backlog.
  // From one address, an IPv6 network of /64 being one; further ones are closed
  // at once. 0: max_connections.
  int max_connections_per_address = 0;
  absl::Duration header_timeout = absl::Seconds(10);
  absl::Duration body_timeout = absl::Seconds(30);
  absl::Duration idle_timeout = absl::Minutes(5);  // Between requests.
  absl::Duration write_timeout = absl::Seconds(30);
  absl::Duration request_timeout = absl::Minutes(2);  // For the handler; 504.
  std::optional<ServerTls> tls;
  // Each connection lives on one of these, that which has the fewest; none: on
  // the server's executor.
  std::vector<boost::asio::any_io_executor> connection_executors;

  // Looks at a request before its body is read; a response refuses it. The body
  // is empty there. May be null.
  std::function<std::optional<Response>(const Request&)> admit;
};

// Serves until destroyed. HTTP/1.0 and 1.1 with keep-alive; Content-Length or
// chunked bodies, gzip decoded; answers are gzipped for those who accept it.
// Ambiguous framing (Content-Length and Transfer-Encoding both, either repeated
// or malformed) is answered with 400, and the connection is closed.
//
// Metrics: insula_http_server_requests_total{server,code},
// insula_http_server_request_seconds{server},
// insula_http_server_connections{server},
// insula_http_server_rejected_total{server,reason},
// insula_tls_certificate_expiry_timestamp_seconds{file}.
class Server {
 public:
  // UNAVAILABLE if the address can't be bound. `metrics` outlives the server.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      ServerOptions options, boost::asio::any_io_executor executor,
      Handler handler, metrics::Registry* metrics);

  // Drains without waiting. Connections end before this returns.
  ~Server();

  int port() const;
  std::string address() const;  // "127.0.0.1:8080", as bound.

  // Stops accepting, closes idle connections, lets open requests finish until
  // `timeout` passes, then cuts what is left. Blocks; not on the executor.
  void Drain(absl::Duration timeout);

 private:
  class Impl;
  explicit Server(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace insula::http
