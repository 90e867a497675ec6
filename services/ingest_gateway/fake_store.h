// A store for tests: takes remote write, remembers it, and has moods.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/http/message.h"
#include "libs/http/server.h"
#include "libs/metrics/metrics.h"
#include "libs/sync/mutex.h"

namespace insula::ingest_gateway {

namespace asio = boost::asio;

// Thread-safe. A mood belongs to the value of X-Scope-OrgID.
class FakeStore {
 public:
  struct Mood {
    int status = 204;
    std::string body = {};
    std::string retry_after = {};
    // What X-Prometheus-Remote-Write-*-Written say; nothing if empty.
    http::Headers written = {};
    int status_of_v2 = 0;  // For remote write 2.0, unless 0.
    bool waits = false;    // Answers after Release() only.
  };

  struct Seen {
    std::string tenant;
    http::Headers headers;
    std::string method;
    std::string target;
    std::string body;
    int status = 0;  // Of the answer.
  };

  FakeStore(asio::any_io_executor executor, metrics::Registry* metrics) {
    http::ServerOptions options;
    options.name = "store";
    server_ = *http::Server::Start(
        options, executor,
        [this](http::Request request) {
          return Answer(this, std::move(request));
        },
        metrics);
  }

  std::string url() const {
    return absl::StrCat("http://", server_->address(), "/api/v1/push");
  }

  void SetMood(absl::string_view tenant, Mood mood) {
    sync::MutexLock lock(&mutex_);
    moods_[std::string(tenant)] = std::move(mood);
  }

  // Lets answers that wait go out.
  void Release() {
    sync::MutexLock lock(&mutex_);
    for (const auto& timer : waiting_) {
      asio::post(timer->get_executor(), [timer] { timer->cancel(); });
    }
    waiting_.clear();
  }
  // Blocks until an answer waits.
  void AwaitWaiting() {
    sync::MutexLock lock(&mutex_);
    while (waiting_.empty()) changed_.wait(mutex_);
  }

  std::vector<Seen> TakeSeen() {
    sync::MutexLock lock(&mutex_);
    return std::exchange(seen_, {});
  }

 private:
  static asio::awaitable<http::Response> Answer(FakeStore* self,
                                                http::Request request) {
    Seen seen;
    seen.tenant =
        std::string(request.headers.Get("X-Scope-OrgID").value_or(""));
    seen.headers = request.headers;
    seen.method = request.method;
    seen.target = request.target;
    seen.body = std::string(request.body.view());
    const bool is_v2 =
        request.headers.Get("X-Prometheus-Remote-Write-Version") == "2.0.0";
    const Mood mood = self->Note(std::move(seen), is_v2);
    if (mood.waits) {
      const auto timer = self->AddWaiting(co_await asio::this_coro::executor);
      // Also ends, by an exception, when the client goes away.
      co_await timer->async_wait(asio::as_tuple(asio::use_awaitable));
    }
    http::Response response =
        http::TextResponse(StatusOf(mood, is_v2), mood.body);
    if (is_v2) {
      for (const auto& [name, value] : mood.written) {
        response.headers.Set(name, value);
      }
    }
    if (!mood.retry_after.empty()) {
      response.headers.Set("Retry-After", mood.retry_after);
    }
    co_return response;
  }

  std::shared_ptr<asio::steady_timer> AddWaiting(asio::any_io_executor on) {
    auto timer = std::make_shared<asio::steady_timer>(
        on, asio::steady_timer::time_point::max());
    sync::MutexLock lock(&mutex_);
    waiting_.push_back(timer);
    changed_.notify_all();
    return timer;
  }

  static int StatusOf(const Mood& mood, bool is_v2) {
    return is_v2 && mood.status_of_v2 != 0 ? mood.status_of_v2 : mood.status;
  }

  Mood Note(Seen seen, bool is_v2) {
    sync::MutexLock lock(&mutex_);
    const Mood mood = moods_[seen.tenant];
    seen.status = StatusOf(mood, is_v2);
    seen_.push_back(std::move(seen));
    return mood;
  }

  sync::Mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::shared_ptr<asio::steady_timer>> waiting_
      ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Mood> moods_ ABSL_GUARDED_BY(mutex_);
  std::vector<Seen> seen_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<http::Server> server_;
};

}  // namespace insula::ingest_gateway
