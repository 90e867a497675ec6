// What the tests of HTTP over real sockets share.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/http/message.h"
#include "libs/http/server.h"
#include "libs/metrics/metrics.h"

namespace insula::http {

// A blocking TCP connection without any idea of HTTP. Reads fail the test after
// 20 s.
class RawSocket {
 public:
  // `from`: an address of the loopback; null: any.
  explicit RawSocket(int port, const char* from = nullptr)
      : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval timeout = {20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    if (from != nullptr) {
      inet_pton(AF_INET, from, &address.sin_addr);
      bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    }
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) !=
        0) {
      ADD_FAILURE() << "can't connect to port " << port;
    }
  }
  explicit RawSocket(int fd, std::nullptr_t) : fd_(fd) {
    const timeval timeout = {20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  }
  ~RawSocket() { Close(); }
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;

  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

  // False if the peer does not take it all.
  bool Send(absl::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  // False if the peer takes nothing for as long.
  bool SendNow(absl::string_view text, absl::Duration patience) {
    while (!text.empty()) {
      pollfd waiting = {fd_, POLLOUT, 0};
      if (poll(&waiting, 1, absl::ToInt64Milliseconds(patience)) != 1) {
        return false;
      }
      const ssize_t sent =
          send(fd_, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  // Reads on until `text` has come, and returns all up to its end.
  std::string ReadThrough(absl::string_view text) {
    size_t at;
    while ((at = ahead_.find(std::string(text))) == std::string::npos) {
      if (!ReadSome()) return std::exchange(ahead_, "");
    }
    const std::string result = ahead_.substr(0, at + text.size());
    ahead_.erase(0, result.size());
    return result;
  }

  // A whole answer or request with Content-Length, as it came.
  std::string ReadMessage() {
    std::string message = ReadThrough("\r\n\r\n");
    const size_t at = message.find("Content-Length: ");
    size_t length = 0;
    if (at != std::string::npos) {
      const absl::string_view rest = absl::string_view(message).substr(at + 16);
      if (!absl::SimpleAtoi(rest.substr(0, rest.find('\r')), &length)) {
        ADD_FAILURE() << message;
      }
    }
    while (ahead_.size() < length && ReadSome()) {
    }
    message += ahead_.substr(0, length);
    ahead_.erase(0, length);
    return message;
  }

  // Takes `bytes` from the peer and forgets them.
  void ReadMany(size_t bytes) {
    while (ahead_.size() < bytes && ReadSome()) {
    }
    ahead_.clear();
  }

  // All up to the end of the connection.
  std::string ReadToEnd() {
    while (ReadSome()) {
    }
    return std::exchange(ahead_, "");
  }

  // Whether the end that was read was no clean one.
  bool was_reset() const { return was_reset_; }

  // Whether the peer ends the connection without a further byte.
  bool AtEnd() { return ahead_.empty() && !ReadSome() && !timed_out_; }

 private:
  bool ReadSome() {
    char space[16384];
    const ssize_t got = recv(fd_, space, sizeof(space), 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      timed_out_ = true;
      ADD_FAILURE() << "nothing came in 20 s";
    }
    if (got < 0 && errno == ECONNRESET) was_reset_ = true;
    if (got <= 0) return false;
    ahead_.append(space, static_cast<size_t>(got));
    return true;
  }

  int fd_;
  bool timed_out_ = false;
  bool was_reset_ = false;
  std::string ahead_;
};

// A listening socket whose connections a test answers by hand.
class RawListener {
 public:
  RawListener() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(fd_, generic, length) != 0 || listen(fd_, 16) != 0 ||
        getsockname(fd_, generic, &length) != 0) {
      ADD_FAILURE() << "can't listen";
    }
    port_ = ntohs(address.sin_port);
  }
  ~RawListener() { close(fd_); }

  int port() const { return port_; }

  std::unique_ptr<RawSocket> Accept() {
    pollfd waiting = {fd_, POLLIN, 0};
    if (poll(&waiting, 1, 20'000) != 1) {
      ADD_FAILURE() << "nobody connects";
      return nullptr;
    }
    return std::make_unique<RawSocket>(accept(fd_, nullptr, nullptr), nullptr);
  }

 private:
  int fd_;
  int port_ = 0;
};

// The answer's status, 0 if it is none.
inline int StatusOf(absl::string_view answer) {
  int status = 0;
  if (!absl::StartsWith(answer, "HTTP/1.1 ") ||
      !absl::SimpleAtoi(answer.substr(9, 3), &status)) {
    return 0;
  }
  return status;
}

inline std::string BodyOf(absl::string_view answer) {
  const size_t end = answer.find("\r\n\r\n");
  return end == answer.npos ? "" : std::string(answer.substr(end + 4));
}

// Runs `task` to its end.
template <typename T>
T Await(boost::asio::thread_pool& pool, boost::asio::awaitable<T> task) {
  return boost::asio::co_spawn(pool, std::move(task), boost::asio::use_future)
      .get();
}

// Answers with what it was asked: "GET /path BODY".
inline boost::asio::awaitable<Response> Echo(Request request) {
  co_return TextResponse(200, absl::StrCat(request.method, " ", request.target,
                                           " ", request.body.view()));
}

// A POST to /p.
inline std::string Post(absl::string_view headers, absl::string_view body) {
  return absl::StrCat("POST /p HTTP/1.1\r\nHost: a\r\n", headers, "\r\n", body);
}

inline std::string PostLength(absl::string_view body,
                              absl::string_view headers = "") {
  return Post(absl::StrCat("Content-Length: ", body.size(), "\r\n", headers),
              body);
}

inline std::string Get(absl::string_view target,
                       absl::string_view more_headers = "") {
  return absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: a\r\n", more_headers,
                      "\r\n");
}

// A handler that waits until it is cancelled or released.
struct Gate {
  std::promise<void> entered;
  std::promise<bool> left;  // Whether it was cancelled.
  std::promise<std::function<void()>> release;

  boost::asio::awaitable<Response> Wait() {
    auto timer = std::make_shared<boost::asio::steady_timer>(
        co_await boost::asio::this_coro::executor,
        boost::asio::steady_timer::time_point::max());
    auto released = std::make_shared<bool>(false);
    release.set_value([timer, released] {
      boost::asio::post(timer->get_executor(), [timer, released] {
        *released = true;
        timer->cancel();
      });
    });
    entered.set_value();
    co_await timer->async_wait(
        boost::asio::as_tuple(boost::asio::use_awaitable));
    left.set_value(!*released);
    co_return TextResponse(200, "released");
  }
};

class ServerFixture : public testing::Test {
 protected:
  ~ServerFixture() override { server_.reset(); }

  void Start(ServerOptions options, Handler handler) {
    options.name = "test";
    auto server = Server::Start(std::move(options), pool_.get_executor(),
                                std::move(handler), &metrics_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  void Start(Handler handler) { Start(ServerOptions(), std::move(handler)); }

  // What the server answers to `text` until it closes.
  std::string Ask(absl::string_view text) {
    RawSocket socket(server_->port());
    EXPECT_TRUE(socket.Send(text));
    return socket.ReadToEnd();
  }

  double Rejected(absl::string_view reason) {
    return metrics_
        .AddCounter(
            "insula_http_server_rejected_total",
            "Connections and requests that the server itself refused or gave "
            "up.",
            {{"server", "test"}, {"reason", std::string(reason)}})
        .Value();
  }

  metrics::Registry metrics_;
  boost::asio::thread_pool pool_{2};
  std::unique_ptr<Server> server_;
};

}  // namespace insula::http
