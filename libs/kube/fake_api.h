// An HTTP server that plays the Kubernetes API by a script, with every mood.
// For tests.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/http/url.h"
#include "libs/sync/mutex.h"

namespace insula::kube {

class FakeApi {
 public:
  struct Request {
    std::string line;  // "GET /api/v1/pods?limit=500 HTTP/1.1"
    std::string head;  // With the line.
    std::string body;
    absl::Time at;
  };
  struct Answer {
    enum class End { kComplete, kCut, kHold };  // kHold: till the client goes.
    int status = 200;
    std::string body;
    End end = End::kComplete;
    std::string headers;  // Lines, each with "\r\n".
  };
  // Called for one request at a time.
  using Script = std::function<Answer(const Request&)>;

  explicit FakeApi(Script script)
      : script_(std::move(script)), acceptor_(pool_, {kLoopback, 0}) {
    boost::asio::co_spawn(pool_, Accept(), boost::asio::detached);
  }
  ~FakeApi() {
    pool_.stop();
    pool_.join();
  }

  http::Url url() const {
    return http::Url::Parse(absl::StrCat("http://127.0.0.1:", port_)).value();
  }

  std::vector<Request> requests() {
    sync::MutexLock lock(&mutex_);
    return requests_;
  }

  // Waits till `count` requests have come. False after 20 s.
  bool WaitFor(size_t count) {
    std::unique_lock<sync::Mutex> lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20),
                             [this, count]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
                               return requests_.size() >= count;
                             });
  }

 private:
  using Tcp = boost::asio::ip::tcp;
  static constexpr auto kTuple =
      boost::asio::as_tuple(boost::asio::use_awaitable);
  inline static const auto kLoopback = boost::asio::ip::address_v4::loopback();

  boost::asio::awaitable<void> Accept() {
    while (true) {
      auto [error, socket] = co_await acceptor_.async_accept(kTuple);
      if (error) co_return;
      boost::asio::co_spawn(pool_, Serve(std::move(socket)),
                            boost::asio::detached);
    }
  }

  // One request, one connection.
  boost::asio::awaitable<void> Serve(Tcp::socket socket) {
    std::string text;
    auto buffer = boost::asio::dynamic_buffer(text);
    const auto [error, head_size] = co_await boost::asio::async_read_until(
        socket, buffer, "\r\n\r\n", kTuple);
    if (error) co_return;
    Request request;
    request.head = text.substr(0, head_size);
    request.line = text.substr(0, text.find("\r\n"));
    request.at = absl::Now();
    request.body = text.substr(head_size);
    const size_t at = request.head.find("Content-Length: ");
    size_t length = 0;
    if (at != std::string::npos) {
      const std::string rest = request.head.substr(at + 16);
      if (!absl::SimpleAtoi(rest.substr(0, rest.find('\r')), &length))
        co_return;
    }
    const size_t have = request.body.size();
    if (have < length) {
      request.body.resize(length);
      co_await boost::asio::async_read(
          socket,
          boost::asio::buffer(request.body.data() + have, length - have),
          kTuple);
    }
    Answer answer;
    {
      sync::MutexLock lock(&mutex_);
      requests_.push_back(request);
      answer = script_(request);
    }
    changed_.notify_all();
    std::string out =
        absl::StrCat("HTTP/1.1 ", answer.status, " X\r\nConnection: close\r\n",
                     answer.headers, "Transfer-Encoding: chunked\r\n\r\n");
    if (!answer.body.empty()) {
      absl::StrAppend(&out, absl::Hex(answer.body.size()), "\r\n", answer.body,
                      "\r\n");
    }
    if (answer.end == Answer::End::kComplete) out.append("0\r\n\r\n");
    co_await boost::asio::async_write(socket, boost::asio::buffer(out), kTuple);
    if (answer.end == Answer::End::kHold) {
      char byte;
      co_await socket.async_read_some(boost::asio::buffer(&byte, 1), kTuple);
    }
  }

  sync::Mutex mutex_;
  std::condition_variable_any changed_;
  const Script script_;
  std::vector<Request> requests_ ABSL_GUARDED_BY(mutex_);
  boost::asio::thread_pool pool_{1};
  Tcp::acceptor acceptor_;
  const int port_ = acceptor_.local_endpoint().port();
};

}  // namespace insula::kube
