// A TCP or TLS connection and the bytes read from it ahead. For libs/http
// alone. Used on one strand.
#pragma once

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <memory>
#include <tuple>

#include "absl/strings/string_view.h"
#include "libs/http/buffer.h"
#include "libs/http/message.h"

namespace insula::http {

inline constexpr auto kAwaitTuple =
    boost::asio::as_tuple(boost::asio::use_awaitable);

class Stream {
 public:
  using ErrorCode = boost::system::error_code;
  using Result = std::tuple<ErrorCode, size_t>;
  using Socket = boost::asio::ip::tcp::socket;
  using TlsContext = std::shared_ptr<boost::asio::ssl::context>;

  // Plain TCP if `tls` is null; else Handshake() comes first.
  Stream(Socket socket, TlsContext tls);

  Socket& socket() { return socket_; }
  bool is_tls() const { return tls_ != nullptr; }
  // Null for plain TCP.
  SSL* ssl() { return tls_ ? tls_->native_handle() : nullptr; }

  boost::asio::awaitable<std::tuple<ErrorCode>> Handshake(bool as_server);

  // At least one byte, or an error.
  boost::asio::awaitable<Result> ReadSome(boost::asio::mutable_buffer to);
  // All of `to`.
  boost::asio::awaitable<Result> ReadAll(boost::asio::mutable_buffer to);
  // Sends of both, `body` may be empty, what plain TCP has room for at once.
  // False: not all is sent and there was no error; then WriteRest() follows.
  bool WriteNow(absl::string_view head, absl::string_view body, Result* result);
  // The rest of both, of which WriteNow() has sent as much as `begun` says.
  boost::asio::awaitable<Result> WriteRest(absl::string_view head,
                                           absl::string_view body,
                                           Result begun);
  // Both. Where each answer passes, WriteNow() saves the coroutine.
  boost::asio::awaitable<Result> WriteAll(absl::string_view head,
                                          absl::string_view body);

  // Says goodbye in TLS; nothing for plain TCP. May take as long as the peer
  // likes: cancel it by a deadline.
  boost::asio::awaitable<std::tuple<ErrorCode>> Shutdown();

  // How many bytes have come and wait to be read, about as many in TLS. Does
  // not block.
  size_t Available();

  // Whether the TCP peer closed the connection, or its half of it, or broke it.
  // Does not block.
  bool PeerLeft();

  // Whether nothing has come on a connection that should be silent, not even
  // its end. Does not block.
  bool IsSilent();

  // Lets pending operations fail.
  void Cancel();
  void Close();

 private:
  Socket socket_;
  TlsContext context_;
  std::unique_ptr<boost::asio::ssl::stream<Socket&>> tls_;
};

// Who is at the other end; certificates only after the handshake.
Peer DescribePeer(Stream* stream);

// Bytes read from a stream and not used yet. Holds no memory when empty.
class InputBuffer {
 public:
  absl::string_view view() const {
    return {buffer_.data() + begin_, end_ - begin_};
  }
  bool empty() const { return begin_ == end_; }

  void Consume(size_t bytes);

  // Room of at least `room` bytes behind what is there, for one read;
  // Took() says how many bytes have come.
  boost::asio::mutable_buffer Space(size_t room);
  void Took(size_t bytes);

  // Reads once, behind what is there. `room` is the least space to offer.
  boost::asio::awaitable<Stream::ErrorCode> ReadMore(Stream* stream,
                                                     size_t room);

 private:
  Buffer buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace insula::http
