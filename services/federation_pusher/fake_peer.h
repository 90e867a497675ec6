// A peer for tests that answers each request with the bytes that a test wants,
// so that it can be as wrong as peers are.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <condition_variable>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "libs/sync/mutex.h"

namespace insula::federation_pusher {

namespace asio = boost::asio;

// One request a connection. Thread-safe.
class FakePeer {
 public:
  struct Request {
    std::string head;
    std::string body;

    std::string target() const {
      const std::vector<std::string> words = absl::StrSplit(head, ' ');
      return words.size() > 1 ? words[1] : "";
    }
    // "" if there is none.
    std::string header(absl::string_view name) const {
      for (const absl::string_view line : absl::StrSplit(head, "\r\n")) {
        const std::pair<absl::string_view, absl::string_view> parts =
            absl::StrSplit(line, absl::MaxSplits(": ", 1));
        if (absl::EqualsIgnoreCase(parts.first, name)) {
          return std::string(parts.second);
        }
      }
      return "";
    }
  };

  // Returns what to answer before the connection is closed. kHang: nothing, and
  // it stays open.
  using Script = std::function<std::string(const Request&)>;
  static constexpr char kHang[] = "(hang)";

  explicit FakePeer(Script script)
      : script_(std::move(script)),
        acceptor_(context_, {asio::ip::make_address("127.0.0.1"), 0}),
        port_(acceptor_.local_endpoint().port()),
        thread_([this] {
          asio::co_spawn(context_, Accept(this), asio::detached);
          context_.run();
        }) {}
  ~FakePeer() {
    context_.stop();
    thread_.join();
  }

  int port() const { return port_; }
  std::string url(absl::string_view path = "/") const {
    return absl::StrCat("http://127.0.0.1:", port_, path);
  }

  // The requests that came so far.
  std::vector<Request> requests() {
    sync::MutexLock lock(&mutex_);
    return requests_;
  }
  // Blocks until so many have come.
  void Await(size_t count) {
    std::unique_lock<sync::Mutex> lock(mutex_);
    changed_.wait(lock, [&] { return requests_.size() >= count; });
  }

 private:
  using Socket = asio::ip::tcp::socket;

  static asio::awaitable<void> Accept(FakePeer* self) {
    while (true) {
      auto [error, socket] = co_await self->acceptor_.async_accept(
          asio::as_tuple(asio::use_awaitable));
      if (error) co_return;
      asio::co_spawn(self->context_, Serve(self, std::move(socket)),
                     asio::detached);
    }
  }

  static asio::awaitable<void> Serve(FakePeer* self, Socket socket) {
    std::string raw;
    Request request;
    const auto [error, end] = co_await asio::async_read_until(
        socket, asio::dynamic_buffer(raw), "\r\n\r\n",
        asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
    request.head = raw.substr(0, end);
    request.body = raw.substr(end);
    size_t length = 0;
    if (absl::SimpleAtoi(request.header("Content-Length"), &length) &&
        request.body.size() < length) {
      const size_t have = request.body.size();
      request.body.resize(length);
      const auto [failed, bytes] = co_await asio::async_read(
          socket, asio::buffer(request.body.data() + have, length - have),
          asio::as_tuple(asio::use_awaitable));
      if (failed) co_return;
    }
    const std::string answer = self->script_(request);
    self->Note(std::move(request));
    if (answer == kHang) {
      asio::steady_timer never(self->context_,
                               asio::steady_timer::time_point::max());
      co_await never.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    co_await asio::async_write(socket, asio::buffer(answer),
                               asio::as_tuple(asio::use_awaitable));
  }

  void Note(Request request) {
    sync::MutexLock lock(&mutex_);
    requests_.push_back(std::move(request));
    changed_.notify_all();
  }

  const Script script_;
  asio::io_context context_;
  asio::ip::tcp::acceptor acceptor_;
  const int port_;

  sync::Mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Request> requests_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;
};

// An answer with a length and a closed connection.
inline std::string Answer(int status, absl::string_view body,
                          absl::string_view headers = "") {
  return absl::StrCat("HTTP/1.1 ", status, " X\r\nConnection: close\r\n",
                      headers, "Content-Length: ", body.size(), "\r\n\r\n",
                      body);
}

inline constexpr char kTextType[] =
    "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n";

// A good answer of a source.
inline std::string TextAnswer(absl::string_view text) {
  return Answer(200, text, kTextType);
}

}  // namespace insula::federation_pusher
