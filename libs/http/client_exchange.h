// One request of a client, from the connection it needs to its answer. For
// libs/http alone.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/http/alarms.h"
#include "libs/http/body_reader.h"
#include "libs/http/client.h"
#include "libs/http/connection_pool.h"
#include "libs/http/framing.h"
#include "libs/http/head.h"
#include "libs/http/message.h"
#include "libs/http/proxy.h"
#include "libs/http/stream.h"
#include "libs/http/watchdog.h"
#include "libs/metrics/metrics.h"

namespace insula::http {

// What exchanges of one client share.
struct ExchangeContext {
  const ClientOptions* options;
  boost::asio::any_io_executor executor;  // Of look-ups.
  ConnectionPool* pool;
  std::shared_ptr<Alarms> alarms;
  metrics::Gauge* connections;
  Stream::TlsContext tls;   // Null for http.
  std::string server_name;  // In its certificate.
  const Proxy* proxy;       // Null: straight.
};

// INVALID_ARGUMENT if something in `request` would change the meaning of the
// message it becomes.
absl::Status CheckRequest(const ClientRequest& request);

// The head of `request`, with the fields that are the client's own, for the
// host itself, or for `proxy` if that is not null.
std::string RequestHeadText(const ClientRequest& request, bool accept_gzip,
                            const Proxy* proxy = nullptr);

// Runs on the strand of the caller's coroutine, which is told of cancellation
// by an exception. Either Ask() or Open() is called, once.
class ClientExchange : public std::enable_shared_from_this<ClientExchange> {
 public:
  // `request` outlives the calls of all but Read().
  ClientExchange(ExchangeContext context, const ClientRequest* request,
                 absl::Time deadline, boost::asio::any_io_executor strand);

  // Sends the request and reads the head of the answer.
  boost::asio::awaitable<absl::StatusOr<ResponseHead>> Ask(bool accept_gzip);
  // Behind Ask(). Sets `*more` if the answer has a rest, which is left to
  // Read().
  boost::asio::awaitable<absl::Status> ReadAnswer(ResponseHead* head,
                                                  Response* response,
                                                  bool* more);
  // What a failed operation means: the deadline, or `otherwise`.
  absl::Status Failure(const absl::Status& otherwise) const;

  // Returns the head; the body, not in gzip, is left to Read().
  boost::asio::awaitable<absl::StatusOr<ResponseHead>> Open();
  // As ResponseStream::Read().
  boost::asio::awaitable<absl::StatusOr<absl::string_view>> Read(
      absl::Time deadline);

 private:
  boost::asio::awaitable<absl::Status> WaitForLease();
  boost::asio::awaitable<absl::Status> Connect();
  using Endpoints = std::vector<boost::asio::ip::tcp::endpoint>;
  // Of the host or its proxy; none that is refused.
  boost::asio::awaitable<absl::StatusOr<Endpoints>> FindEndpoints();
  boost::asio::awaitable<absl::StatusOr<Endpoints>> Resolve(std::string host,
                                                            uint16_t port);
  absl::Status CheckEndpoints(absl::string_view host,
                              const Endpoints& endpoints) const;
  boost::asio::awaitable<absl::Status> ConnectTo(Endpoints endpoints);
  // Through the proxy to the host, below TLS.
  boost::asio::awaitable<absl::Status> OpenTunnel();
  boost::asio::awaitable<absl::StatusOr<ResponseHead>> ReadTunnelAnswer();
  boost::asio::awaitable<absl::Status> Handshake();
  boost::asio::awaitable<absl::StatusOr<ResponseHead>> RoundTrip(
      bool accept_gzip);
  // The next head, once all of it has come.
  absl::StatusOr<std::optional<ResponseHead>> TakeHead(HeadScanner* scanner);
  absl::StatusOr<Framing> Frame(const ResponseHead& head) const;
  // The most bytes of an answer, decoded, and of one that is returned as a
  // whole.
  size_t max_response_bytes() const;
  size_t max_whole_bytes() const;
  bool MayHaveRest(const Framing& framing, const ResponseHead& head) const;
  // All of the body if it is short enough, and then lets another request have
  // the connection.
  boost::asio::awaitable<absl::Status> ReadBeginning(const Framing* framing,
                                                     Response* response,
                                                     bool* more);
  // The answer has come as a whole: lets another request have the connection.
  void GiveBack(bool keep_alive);

  void OnExpiry();

  const ExchangeContext context_;
  const ClientRequest& request_;
  absl::Time deadline_;
  const boost::asio::any_io_executor strand_;
  const std::string host_key_;

  std::optional<Watchdog> watchdog_;  // Needs shared_from_this().
  ConnectionPool::Lease lease_;
  std::shared_ptr<boost::asio::steady_timer> waiting_on_;
  bool any_byte_ = false;           // Of the answer has come.
  bool write_failed_ = false;       // Not all of the request was sent.
  std::optional<BodyReader> body_;  // Of Read(), where there is any.
  bool keep_alive_ = false;         // Once the body has been read.
};

}  // namespace insula::http
