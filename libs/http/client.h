// A pooled HTTP/1.1 client on coroutines.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/http/message.h"
#include "libs/http/tls.h"
#include "libs/http/url.h"
#include "libs/metrics/metrics.h"

namespace insula::http {

struct ClientOptions {
  std::string name;  // In metrics: "upstream".
  size_t max_response_bytes = 64
                              << 20;  // RESOURCE_EXHAUSTED above, also decoded.
  size_t max_header_bytes = 32 << 10;
  int max_connections_per_host = 100;  // Further requests wait, till deadline.
  absl::Duration idle_timeout = absl::Seconds(50);
  absl::Duration connect_timeout = absl::Seconds(5);
  std::optional<ClientTls> tls;  // For https URLs; unset: system CAs.
};

// What to send. `headers` go out as they are; Host, Content-Length,
// Accept-Encoding and Connection are the client's own.
struct ClientRequest {
  std::string method = "GET";
  Url url;
  Headers headers;
  std::string body;
};

// Thread-safe. Follows no redirects. May be destroyed while requests are open:
// they go on, and `metrics` must outlive them. A request on a pooled connection
// that turns out to be closed before any byte of the answer is sent again,
// once, on a new one.
//
// Metrics: insula_http_client_requests_total{client,code},
// insula_http_client_request_seconds{client},
// insula_http_client_connections{client}.
class Client {
 public:
  Client(ClientOptions options, boost::asio::any_io_executor executor,
         metrics::Registry* metrics);
  ~Client();

  // Any HTTP status is a result; gzip is decoded. DEADLINE_EXCEEDED at
  // `deadline`, UNAVAILABLE if no answer came, RESOURCE_EXHAUSTED if it was too
  // large, CANCELLED if the calling coroutine was cancelled.
  boost::asio::awaitable<absl::StatusOr<Response>> Send(ClientRequest request,
                                                        absl::Time deadline);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace insula::http
