// One connection of a server. For libs/http alone.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/http/body.h"
#include "libs/http/framing.h"
#include "libs/http/head.h"
#include "libs/http/message.h"
#include "libs/http/server_core.h"
#include "libs/http/stream.h"
#include "libs/http/watchdog.h"

namespace insula::http {

struct AnswerFacts;

// Reads requests one after the other and answers each before the next. Lives
// on the strand of its socket. An idle one holds no buffers.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // The socket's executor is a strand on that of this number in
  // options.connection_executors.
  Connection(Stream::Socket socket, std::shared_ptr<ServerCore> core,
             size_t executor_number, const AddressKey& address_key);

  // Begins. Called once, on the strand, after ServerCore::Add().
  void Start();

  size_t executor_number() const { return executor_number_; }
  const AddressKey& address_key() const { return address_key_; }

  // Thread-safe. BeginDrain() ends an idle connection; Cut() any.
  void BeginDrain();
  void Cut();
  // Thread-safe. Since when it waits for a request, in ns of the steady clock;
  // kNotIdle: it does not.
  static constexpr int64_t kNotIdle = std::numeric_limits<int64_t>::max();
  int64_t idle_since() const {
    return idle_since_.load(std::memory_order_relaxed);
  }

 private:
  enum class Phase { kIdle, kReading, kHandling, kWriting, kClosed };

  // For so long nobody looks whether the client of a handler is still there.
  static constexpr absl::Duration kUnwatched = absl::Milliseconds(20);

  // What is known of a request that is being answered.
  struct Exchange {
    RequestHead head;
    Framing framing;
    std::string id;
    absl::Time started;
    bool accepts_gzip = false;
    bool body_read = false;  // The next request can be found behind it.
  };

  // Why a request is refused; `status` 0: without an answer.
  struct Refusal {
    int status = 0;
    Rejection reason = Rejection::kFraming;
    std::string message;
  };

  boost::asio::awaitable<void> Run();
  boost::asio::awaitable<bool> Handshake();
  boost::asio::awaitable<bool> WaitForRequest();
  // False: nothing more can follow on this connection.
  boost::asio::awaitable<bool> ServeOne();
  boost::asio::awaitable<std::optional<Refusal>> ReadHead(Exchange* exchange);
  boost::asio::awaitable<std::optional<Refusal>> ReadRequestBody(
      Exchange* exchange, Reservation* reservation, Request* request);
  boost::asio::awaitable<Response> Handle(Request* request);
  boost::asio::awaitable<bool> Answer(Exchange* exchange, Response* response);
  // Of an answer with a rest. Lets the rest go when the client does.
  boost::asio::awaitable<bool> AnswerInPieces(Exchange* exchange,
                                              Response* response,
                                              AnswerFacts* facts);
  // False: the client has left, or is too slow, or `end` has come.
  boost::asio::awaitable<bool> WritePiece(absl::string_view before,
                                          absl::string_view bytes,
                                          absl::Time end);
  // Nothing if there will be no whole body.
  boost::asio::awaitable<std::optional<absl::string_view>> NextPiece(
      BodySource* rest, const Exchange* exchange, absl::Time end);
  // The client is told that the answer is not whole.
  void BreakOff();
  boost::asio::awaitable<bool> Refuse(Exchange* exchange,
                                      const Refusal* refusal);
  boost::asio::awaitable<void> Finish();

  Refusal HeadFailure(const absl::Status& status);
  Refusal BodyFailure(const absl::Status& status);
  Refusal InputFailure(absl::string_view part);
  std::optional<Response> Admit(Exchange* exchange, const Request& request);

  // While a handler runs, cancels it when the client leaves. Most handlers are
  // done before it is worth a system call to ask for that: WatchClientSoon().
  void WatchClientSoon() { watch_soon_->Set(kUnwatched); }
  void WatchClient();
  void StopWatching();
  void OnClientReadable();
  void OnExpiry();
  void CancelHandler();

  const std::shared_ptr<ServerCore> core_;
  const size_t executor_number_;
  const AddressKey address_key_;
  Stream stream_;
  std::optional<Watchdog> watchdog_;    // Needs shared_from_this().
  std::optional<Watchdog> watch_soon_;  // Until the client is watched.
  boost::asio::cancellation_signal cancel_;
  InputBuffer input_;
  Peer peer_;
  Phase phase_ = Phase::kIdle;
  std::atomic<int64_t> idle_since_ = kNotIdle;  // By the steady clock, in ns.
  bool client_gone_ = false;
  bool cut_ = false;
  bool broken_ = false;       // Reading or writing failed.
  bool unread_body_ = false;  // Of a refused request.
  bool watching_ = false;
  uint64_t watch_ = 0;  // The current watch of the client, by number.
  // Looks again when bytes of the next request hide the end of the stream.
  std::optional<boost::asio::steady_timer> recheck_;
};

}  // namespace insula::http
