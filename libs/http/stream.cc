#include "libs/http/stream.h"

#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace insula::http {

namespace asio = boost::asio;

Stream::Stream(Socket socket, TlsContext tls)
    : socket_(std::move(socket)), context_(std::move(tls)) {
  if (context_ != nullptr) {
    tls_ = std::make_unique<asio::ssl::stream<Socket&>>(socket_, *context_);
  }
}

asio::awaitable<std::tuple<Stream::ErrorCode>> Stream::Handshake(
    bool as_server) {
  return tls_->async_handshake(as_server ? asio::ssl::stream_base::server
                                         : asio::ssl::stream_base::client,
                               kAwaitTuple);
}

asio::awaitable<Stream::Result> Stream::ReadSome(asio::mutable_buffer to) {
  if (tls_) return tls_->async_read_some(to, kAwaitTuple);
  return socket_.async_read_some(to, kAwaitTuple);
}

asio::awaitable<Stream::Result> Stream::ReadAll(asio::mutable_buffer to) {
  if (tls_) return asio::async_read(*tls_, to, kAwaitTuple);
  return asio::async_read(socket_, to, kAwaitTuple);
}

asio::awaitable<Stream::Result> Stream::WriteAll(absl::string_view head,
                                                 absl::string_view body) {
  Result result;
  if (WriteNow(head, body, &result)) co_return result;
  co_return co_await WriteRest(head, body, result);
}

asio::awaitable<Stream::Result> Stream::WriteRest(absl::string_view head,
                                                  absl::string_view body,
                                                  Result begun) {
  const size_t sent = std::get<1>(begun);
  const size_t sent_of_head = std::min(sent, head.size());
  head.remove_prefix(sent_of_head);
  body.remove_prefix(sent - sent_of_head);
  const std::array<asio::const_buffer, 2> buffers = {
      asio::const_buffer(head.data(), head.size()),
      asio::const_buffer(body.data(), body.size())};
  Result result;
  if (tls_ != nullptr) {
    result = co_await asio::async_write(*tls_, buffers, kAwaitTuple);
  } else {
    result = co_await asio::async_write(socket_, buffers, kAwaitTuple);
  }
  std::get<1>(result) += sent;
  co_return result;
}

bool Stream::WriteNow(absl::string_view head, absl::string_view body,
                      Result* result) {
  *result = Result();
  if (tls_ != nullptr) return false;
  auto& [error, sent] = *result;
  while (sent < head.size() + body.size()) {
    const size_t of_head = std::min(sent, head.size());
    const size_t of_body = sent - of_head;
    std::array<iovec, 2> pieces = {
        iovec{const_cast<char*>(head.data()) + of_head, head.size() - of_head},
        iovec{const_cast<char*>(body.data()) + of_body, body.size() - of_body}};
    msghdr message = {};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    const ssize_t bytes =
        sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (bytes >= 0) {
      sent += static_cast<size_t>(bytes);
    } else if (errno == EAGAIN) {
      return false;
    } else if (errno != EINTR) {
      error.assign(errno, boost::system::system_category());
      break;
    }
  }
  return true;
}

asio::awaitable<std::tuple<Stream::ErrorCode>> Stream::Shutdown() {
  if (!tls_) co_return std::tuple<ErrorCode>();
  co_return co_await tls_->async_shutdown(kAwaitTuple);
}

size_t Stream::Available() {
  ErrorCode error;
  const size_t bytes = socket_.available(error);
  return error ? 0 : bytes;
}

bool Stream::PeerLeft() {
  pollfd waiting = {socket_.native_handle(), POLLRDHUP, 0};
  return poll(&waiting, 1, 0) > 0;
}

bool Stream::IsSilent() {
  pollfd waiting = {socket_.native_handle(), POLLIN | POLLRDHUP, 0};
  return poll(&waiting, 1, 0) == 0;
}

void Stream::Cancel() {
  ErrorCode ignored;
  socket_.cancel(ignored);
}

void Stream::Close() {
  ErrorCode ignored;
  socket_.close(ignored);
}

namespace {

void AddSubjectNames(X509* certificate, Peer* peer) {
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  if (names == nullptr) return;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI && name->type != GEN_DNS) continue;
    const ASN1_IA5STRING* text = name->d.ia5;
    std::string value(
        reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
        static_cast<size_t>(ASN1_STRING_length(text)));
    // A name with a NUL inside is made to be read as another.
    if (value.find('\0') != value.npos) continue;
    (name->type == GEN_URI ? peer->san_uris : peer->san_dns)
        .push_back(std::move(value));
  }
  GENERAL_NAMES_free(names);
}

}  // namespace

Peer DescribePeer(Stream* stream) {
  Peer peer;
  Stream::ErrorCode error;
  const auto endpoint = stream->socket().remote_endpoint(error);
  if (!error) {
    asio::ip::address address = endpoint.address();
    if (address.is_v6() && address.to_v6().is_v4_mapped()) {
      address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    }
    peer.address = address.to_string();
  }
  SSL* ssl = stream->ssl();
  if (ssl == nullptr) return peer;
  peer.tls = true;
  X509* certificate = SSL_get1_peer_certificate(ssl);
  if (certificate == nullptr) return peer;
  if (SSL_get_verify_result(ssl) == X509_V_OK) {
    AddSubjectNames(certificate, &peer);
  }
  X509_free(certificate);
  return peer;
}

void InputBuffer::Consume(size_t bytes) {
  begin_ += bytes;
  if (begin_ < end_) return;
  begin_ = end_ = 0;
  buffer_ = Buffer();
}

asio::mutable_buffer InputBuffer::Space(size_t room) {
  if (buffer_.size() - end_ < room) {
    if (begin_ > 0) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    if (buffer_.size() - end_ < room) {
      buffer_.Resize(std::max(2 * end_, end_ + room));
    }
  }
  return {buffer_.data() + end_, buffer_.size() - end_};
}

void InputBuffer::Took(size_t bytes) {
  end_ += bytes;
  if (empty()) Consume(0);
}

asio::awaitable<Stream::ErrorCode> InputBuffer::ReadMore(Stream* stream,
                                                         size_t room) {
  const auto [error, bytes] = co_await stream->ReadSome(Space(room));
  Took(bytes);
  co_return error;
}

}  // namespace insula::http
