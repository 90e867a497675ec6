#include "libs/edge/listeners.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/http/client.h"
#include "libs/http/url.h"
#include "libs/status/status_matchers.h"
#include "libs/sync/mutex.h"

namespace insula::edge {
namespace {

namespace asio = boost::asio;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Key;
using testing::Not;
using testing::SizeIs;

constexpr absl::Duration kPatience = absl::Seconds(20);

// Says by which header the listener knows tenants. Refuses /refused and
// /refused-unknown before the body is read, /unknown after it, and holds /held
// until it is released.
class FakeHandler : public Handler {
 public:
  std::optional<http::Response> Admit(
      const http::Request& request, const auth::Authenticator* auth) override {
    if (request.path() == "/refused-unknown") return Unknown();
    if (request.path() != "/refused") return std::nullopt;
    return http::TextResponse(403, auth->config().trusted_header);
  }

  asio::awaitable<http::Response> Handle(
      http::Request request, const auth::Authenticator* auth) override {
    if (request.path() == "/held") {
      auto timer = std::make_shared<asio::steady_timer>(
          co_await asio::this_coro::executor,
          asio::steady_timer::time_point::max());
      Hold(timer);
      co_await timer->async_wait(asio::as_tuple(asio::use_awaitable));
    }
    if (request.path() == "/unknown") co_return Unknown();
    co_return http::TextResponse(
        200,
        absl::StrCat(auth->config().trusted_header, " ", request.body.size()));
  }

  void WaitForHeld(size_t count) {
    std::unique_lock lock(mutex_);
    held_changed_.wait(lock, [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return held_.size() == count;
    });
  }

  void Release() {
    sync::MutexLock lock(&mutex_);
    for (const auto& timer : std::exchange(held_, {})) {
      asio::post(timer->get_executor(), [timer] { timer->cancel(); });
    }
  }

 private:
  // In the handler's own words, which the listener's replace.
  static http::Response Unknown() {
    http::Response response = http::TextResponse(401, "who are you?");
    response.headers.Set("WWW-Authenticate", "Password");
    return response;
  }

  void Hold(std::shared_ptr<asio::steady_timer> timer) {
    sync::MutexLock lock(&mutex_);
    held_.push_back(std::move(timer));
    held_changed_.notify_all();
  }

  sync::Mutex mutex_;
  std::condition_variable_any held_changed_;
  std::vector<std::shared_ptr<asio::steady_timer>> held_
      ABSL_GUARDED_BY(mutex_);
};

ListenerConfig Known(absl::string_view name, absl::string_view header) {
  ListenerConfig config(name, "127.0.0.1:0");
  config.auth.trusted_header = std::string(header);
  return config;
}

class ListenersTest : public testing::Test {
 protected:
  ListenersTest() {
    runtime::ProcessConfig config;
    config.admin_listen_address = "127.0.0.1:0";
    config.worker_threads = 2;
    config.ports_file = ports_file_;
    auto process = runtime::Process::Start("edge-test", config, "");
    EXPECT_THAT(process, IsOk());
    process_ = *std::move(process);
    http::ClientOptions options;
    options.name = "test";
    client_ = std::make_unique<http::Client>(options, process_->executor(),
                                             &process_->metrics());
  }
  ~ListenersTest() override { std::filesystem::remove(ports_file_); }

  absl::Status Start(const std::vector<ListenerConfig>& configs) {
    auto listeners =
        Listeners::Start(configs, limits_, &handler_, process_.get());
    if (!listeners.ok()) return listeners.status();
    listeners_ = *std::move(listeners);
    return absl::OkStatus();
  }

  // What is announced so far, by name.
  std::map<std::string, std::string> Ports() {
    process_->SetReady();
    std::ifstream file(ports_file_);
    std::map<std::string, std::string> ports;
    std::string name;
    std::string address;
    while (file >> name >> address) ports[name] = address;
    return ports;
  }

  std::future<absl::StatusOr<http::Response>> Post(const std::string& address,
                                                   absl::string_view path,
                                                   std::string body) {
    http::ClientRequest request;
    request.method = "POST";
    request.url = *http::Url::Parse(absl::StrCat("http://", address, path));
    request.body = std::move(body);
    return asio::co_spawn(
        process_->executor(),
        client_->Send(std::move(request), absl::Now() + kPatience),
        asio::use_future);
  }

  // "STATUS BODY" of the answer, without the end of the line.
  std::string Ask(const std::string& address, absl::string_view path,
                  std::string body = "") {
    const auto answer = Post(address, path, std::move(body)).get();
    if (!answer.ok()) return std::string(answer.status().message());
    return absl::StrCat(answer->status, " ",
                        absl::StripSuffix(answer->body, "\n"));
  }

  const std::string ports_file_ =
      absl::StrCat(testing::TempDir(), "listeners_test.", getpid(), ".ports");
  FakeHandler handler_;
  http::ServerOptions limits_;
  std::unique_ptr<runtime::Process> process_;
  std::unique_ptr<http::Client> client_;
  std::unique_ptr<Listeners> listeners_;
};

TEST_F(ListenersTest, EachIsAnnouncedAndAnswersWithItsOwnAuth) {
  ASSERT_THAT(Start({Known("red", "X-Red"), Known("blue", "X-Blue")}), IsOk());
  auto ports = Ports();
  EXPECT_THAT(ports, SizeIs(3));  // And the admin server.
  EXPECT_EQ(Ask(ports["red"], "/", "abc"), "200 X-Red 3");
  EXPECT_EQ(Ask(ports["blue"], "/"), "200 X-Blue 0");
  EXPECT_EQ(Ask(ports["blue"], "/refused", "abc"), "403 X-Blue");
  EXPECT_THAT(process_->metrics().Expose(),
              HasSubstr("insula_http_server_requests_total{code=\"200\","
                        "server=\"red\"} 1\n"));
}

TEST_F(ListenersTest, LimitsHoldForEach) {
  limits_.max_body_bytes = 5;
  limits_.name = "overwritten";
  limits_.listen_address = "192.0.2.1:1";
  ASSERT_THAT(Start({Known("red", "X-Red"), Known("blue", "X-Blue")}), IsOk());
  auto ports = Ports();
  EXPECT_THAT(Ask(ports["red"], "/", "abcdef"), HasSubstr("413 "));
  EXPECT_THAT(Ask(ports["blue"], "/", "abcdef"), HasSubstr("413 "));
  EXPECT_EQ(Ask(ports["blue"], "/", "abcde"), "200 X-Blue 5");
}

TEST_F(ListenersTest, IfOneCanNotListenNoneDoes) {
  ListenerConfig foreign("blue", "192.0.2.1:80");
  EXPECT_THAT(Start({Known("red", "X-Red"), foreign}),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("listener 'blue': "),
                             HasSubstr("192.0.2.1:80"))));
  EXPECT_THAT(Ports(), Not(Contains(Key("red"))));

  // The address of the first is free again.
  ASSERT_THAT(Start({Known("red", "X-Red")}), IsOk());
  ListenerConfig fixed = Known("red", "X-Red");
  fixed.listen_address = Ports()["red"];
  listeners_.reset();
  EXPECT_THAT(Start({fixed, foreign}),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Start({fixed}), IsOk());
}

TEST_F(ListenersTest, TlsIsOfTheListener) {
  ListenerConfig config = Known("red", "X-Red");
  config.tls_cert_file = "/nonexistent/cert.pem";
  config.tls_key_file = "/nonexistent/key.pem";
  EXPECT_THAT(Start({config}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("listener 'red': "),
                             HasSubstr("/nonexistent/cert.pem"))));
}

TEST_F(ListenersTest, ARefusalSaysHowToGetIn) {
  ListenerConfig config = Known("red", "X-Red");
  config.auth.api_key_header = "X-API-Key";
  ASSERT_THAT(Start({config, Known("blue", "X-Blue")}), IsOk());
  auto ports = Ports();
  for (const char* path : {"/unknown", "/refused-unknown"}) {
    const auto red = Post(ports["red"], path, "abc").get();
    ASSERT_THAT(red, IsOk());
    EXPECT_EQ(red->status, 401);
    std::vector<std::string> challenges;
    for (const auto& [name, value] : red->headers) {
      if (absl::EqualsIgnoreCase(name, "WWW-Authenticate")) {
        challenges.push_back(value);
      }
    }
    EXPECT_THAT(challenges,
                testing::ElementsAre("Bearer", "ApiKey header=\"X-API-Key\""));
    const auto blue = Post(ports["blue"], path, "abc").get();
    ASSERT_THAT(blue, IsOk());
    EXPECT_EQ(blue->headers.Get("WWW-Authenticate"), "Bearer");
    EXPECT_EQ(blue->headers.Count("WWW-Authenticate"), 1u);
  }
  const auto good = Post(ports["red"], "/", "").get();
  ASSERT_THAT(good, IsOk());
  EXPECT_EQ(good->headers.Count("WWW-Authenticate"), 0u);
}

TEST_F(ListenersTest, AMethodThatCanNotBeHadIsOfTheListener) {
  ListenerConfig config = Known("red", "X-Red");
  config.auth.jwt.emplace_back();
  config.auth.jwt[0].issuer = "ftp://id.example";
  EXPECT_THAT(Start({config}), StatusIs(absl::StatusCode::kInvalidArgument,
                                        AllOf(HasSubstr("listener 'red': "),
                                              HasSubstr("issuer: "))));
}

TEST_F(ListenersTest, AllDrainAtTheSameTime) {
  ASSERT_THAT(Start({Known("red", "X-Red"), Known("blue", "X-Blue")}), IsOk());
  auto ports = Ports();
  auto red = Post(ports["red"], "/held", "");
  auto blue = Post(ports["blue"], "/held", "");
  handler_.WaitForHeld(2);

  std::thread drain([this] { listeners_->Drain(kPatience); });
  // Neither waits for the other's open request to refuse new ones.
  for (const char* name : {"red", "blue"}) {
    while (absl::StrContains(Ask(ports[name], "/"), "200 ")) {
    }
  }
  handler_.Release();
  drain.join();
  const auto red_answer = red.get();
  ASSERT_THAT(red_answer, IsOk());
  EXPECT_EQ(red_answer->body, "X-Red 0\n");
  const auto blue_answer = blue.get();
  ASSERT_THAT(blue_answer, IsOk());
  EXPECT_EQ(blue_answer->body, "X-Blue 0\n");
}

}  // namespace
}  // namespace insula::edge
