// A host that wants credentials, and a token endpoint, for the tests here.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/http/client.h"
#include "libs/http/message.h"
#include "libs/http/server.h"
#include "libs/metrics/metrics.h"
#include "libs/outbound/credentials.h"
#include "libs/outbound/watched_secret.h"
#include "libs/sync/mutex.h"
#include "libs/time/clock.h"
#include "libs/time/fake_clock.h"

namespace insula::outbound {

inline boost::asio::awaitable<absl::Status> RunHere(
    std::function<absl::Status()> work) {
  co_return work();
}

// A server that keeps what it is asked, and answers as `answer` says.
class FakeHost {
 public:
  using Answer = std::function<http::Response(const http::Request&)>;

  FakeHost(boost::asio::thread_pool* pool, metrics::Registry* metrics,
           Answer answer)
      : answer_(std::move(answer)) {
    http::ServerOptions options;
    options.name = "fake";
    auto server = http::Server::Start(
        std::move(options), pool->get_executor(),
        [this](http::Request request) { return Handle(std::move(request)); },
        metrics);
    server_ = *std::move(server);
  }

  std::string Url(absl::string_view path = "/") const {
    return absl::StrCat("http://127.0.0.1:", server_->port(), path);
  }

  // Values of a header of all requests, "-" where there is none.
  std::vector<std::string> Seen(absl::string_view header) {
    const sync::MutexLock lock(&mutex_);
    std::vector<std::string> values;
    for (const http::Headers& headers : seen_) {
      values.emplace_back(headers.Get(header).value_or("-"));
    }
    return values;
  }
  size_t requests() {
    const sync::MutexLock lock(&mutex_);
    return seen_.size();
  }
  std::string last_body() {
    const sync::MutexLock lock(&mutex_);
    return last_body_;
  }

 private:
  boost::asio::awaitable<http::Response> Handle(http::Request request) {
    {
      const sync::MutexLock lock(&mutex_);
      seen_.push_back(request.headers);
      last_body_ = std::string(request.body.view());
    }
    co_return answer_(request);
  }

  const Answer answer_;
  sync::Mutex mutex_;
  std::vector<http::Headers> seen_ ABSL_GUARDED_BY(mutex_);
  std::string last_body_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<http::Server> server_;
};

class OutboundFixture : public testing::Test {
 protected:
  OutboundFixture() {
    std::string pattern = testing::TempDir() + "insula-outbound-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << pattern;
    directory_ = pattern;
  }
  ~OutboundFixture() override {
    client_.reset();
    std::filesystem::remove_all(directory_);
  }

  // A file of that text, put in place at once, as if written an hour ago: so
  // it has come to rest.
  std::string Write(const std::string& name, absl::string_view text) {
    const std::string path = absl::StrCat(directory_, "/", name);
    const std::string beside = path + ".new";
    {
      std::ofstream file(beside, std::ios::binary);
      file << std::string(text);
    }
    std::filesystem::permissions(beside,
                                 std::filesystem::perms::owner_read |
                                     std::filesystem::perms::owner_write);
    std::filesystem::rename(beside, path);
    // A file is read once it has been left alone for 30 ms; the clock that
    // tells is the tests'.
    wall_.Advance(absl::Seconds(1));
    return path;
  }

  Context MakeContext() {
    return {pool_.get_executor(), RunHere, &wall_, &steady_, &metrics_};
  }

  void MakeClient(const std::vector<CredentialConfig>& credentials) {
    http::ClientOptions options;
    options.name = "upstream";
    auto outfit = Outfit(std::move(options), credentials, MakeContext());
    ASSERT_TRUE(outfit.ok()) << outfit.status();
    client_ = std::make_unique<http::Client>(*std::move(outfit),
                                             pool_.get_executor(), &metrics_);
  }

  std::future<absl::StatusOr<http::Response>> Ask(const std::string& url,
                                                  http::Headers headers = {}) {
    http::ClientRequest request;
    request.url = http::Url::Parse(url).value();
    request.headers = std::move(headers);
    return boost::asio::co_spawn(
        boost::asio::make_strand(pool_.get_executor()),
        client_->Send(std::move(request), absl::Now() + absl::Seconds(20)),
        boost::asio::use_future);
  }

  // The status of the answer, or 0.
  int StatusAt(const std::string& url) {
    const auto answer = Ask(url).get();
    return answer.ok() ? answer->status : 0;
  }

  std::string directory_;
  // File times are real; this clock is ahead of them.
  FakeClock wall_{absl::Now() + absl::Hours(1)};
  FakeClock steady_{absl::UnixEpoch() + absl::Hours(1)};
  metrics::Registry metrics_;
  boost::asio::thread_pool pool_{2};
  std::unique_ptr<http::Client> client_;
};

}  // namespace insula::outbound
