// A pooled HTTP/1.1 client on coroutines.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/http/authorizer.h"
#include "libs/http/message.h"
#include "libs/http/networks.h"
#include "libs/http/proxy.h"
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
  // In place of `tls` for the https URLs of a host, by Url::HostPort().
  std::map<std::string, ClientTls> host_tls;
  // A host with such an address is not connected to. A host that is asked
  // through a proxy is looked up by the proxy: then it is the proxy's address
  // that is checked, and the host's if it is written as one.
  Networks refused_networks = Networks::LinkLocalAndMetadata();
  ProxyRules proxy;
  std::shared_ptr<Authorizer> authorizer;  // May be null.
};

// What to send. `headers` go out as they are; Host, Content-Length,
// Accept-Encoding and Connection are the client's own.
struct ClientRequest {
  std::string method = "GET";
  Url url;
  Headers headers;
  std::string body;
  // In place of `body`: bytes that outlive the call of Send().
  absl::string_view lent_body;
  // Of an answer whose body is longer than this the beginning may be returned
  // alone, and the rest as Response::rest, without a bound. It is not asked for
  // in gzip then, but one that comes so is decoded, and returned as a whole.
  // For senders on a strand; others get whole answers.
  size_t max_whole_bytes = std::numeric_limits<size_t>::max();
  size_t max_response_bytes = 0;  // Below that of the client; 0: that.

  absl::string_view body_to_send() const {
    return lent_body.empty() ? absl::string_view(body) : lent_body;
  }
};

// An answer whose body is read while it comes, as long as that may take.
// Destroying it closes the connection unless all was read. Used on the strand
// that it was opened on.
//
//   while (true) {
//     CO_ASSIGN_OR_RETURN(const absl::string_view piece,
//                         co_await stream->Read(absl::Now() + patience));
//     if (piece.empty()) break;
//     ...
//   }
class ResponseStream {
 public:
  ~ResponseStream();

  int status() const;
  const Headers& headers() const;

  // The next bytes of the body, at least one, or none at its end. They stay
  // until the next call. DEADLINE_EXCEEDED if nothing comes till `deadline`,
  // UNAVAILABLE if the body is cut off or malformed, CANCELLED if the calling
  // coroutine was cancelled; only the destructor may be called then.
  boost::asio::awaitable<absl::StatusOr<absl::string_view>> Read(
      absl::Time deadline);

 private:
  friend class Client;
  struct State;
  explicit ResponseStream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Thread-safe. Follows no redirects. A name is looked up once for each
// connection, and the addresses that were checked are those that are connected
// to. May be destroyed while requests are open: they go on, and `metrics` must
// outlive them. A request on a pooled connection
// that turns out to be closed before any byte of the answer is sent again,
// once, on a new one.
//
// Metrics: insula_http_client_requests_total{client,code},
// insula_http_client_request_seconds{client} (not of streams),
// insula_http_client_connections{client}.
class Client {
 public:
  Client(ClientOptions options, boost::asio::any_io_executor executor,
         metrics::Registry* metrics);
  ~Client();

  // Any HTTP status is a result; gzip is decoded. DEADLINE_EXCEEDED at
  // `deadline`, UNAVAILABLE if no answer came, RESOURCE_EXHAUSTED if it was too
  // large, CANCELLED if the calling coroutine was cancelled, PERMISSION_DENIED
  // if the host has an address of `refused_networks`, and the authorizer's
  // errors. For each piece of Response::rest, which may outlive the client,
  // there are 30 s; its errors are those of ResponseStream::Read().
  boost::asio::awaitable<absl::StatusOr<Response>> Send(ClientRequest request,
                                                        absl::Time deadline);

  // Like Send, but returns when the head of the answer has come, before
  // `deadline`; 401 is an answer like others. The body is not asked for in
  // gzip, nor bounded in size. To be called on a strand. May be destroyed while
  // streams are open.
  boost::asio::awaitable<absl::StatusOr<std::unique_ptr<ResponseStream>>> Open(
      ClientRequest request, absl::Time deadline);

 private:
  friend class ResponseStream;
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace insula::http
