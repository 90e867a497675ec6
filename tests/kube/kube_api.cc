#include "tests/kube/kube_api.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>
#include <future>
#include <iostream>
#include <list>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace insula::e2e {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr char kRbac[] = "/apis/rbac.authorization.k8s.io/v1/";
constexpr char kInitializing[] = "storage is (re)initializing";
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

std::string Local(int port) { return absl::StrCat("127.0.0.1:", port); }

// Ends the test program: nothing after this makes sense.
void Demand(bool condition, absl::string_view what, const Process& process) {
  if (condition) return;
  std::cerr << what << "\n" << process.LogTail() << "\n";
  std::abort();
}

}  // namespace

KubeApi::KubeApi(std::vector<std::string> flags, absl::string_view tokens)
    : etcd_port_(ClaimPort()), port_(ClaimPort()), plain_port_(ClaimPort()) {
  const std::string& root = directory_.path();
  const std::string client = "http://" + Local(etcd_port_);
  const std::string peer = "http://" + Local(ClaimPort());
  etcd_ = std::make_unique<Process>(
      "/usr/bin/etcd",
      std::vector<std::string>{
          "--data-dir", root + "/etcd", "--listen-client-urls", client,
          "--advertise-client-urls", client, "--listen-peer-urls", peer,
          "--initial-advertise-peer-urls", peer, "--initial-cluster",
          "default=" + peer, "--unsafe-no-fsync"},
      root + "/etcd.log");
  Demand(WaitUntil(
             [this] {
               return HttpSend(etcd_port_, "GET", "/health").status == 200;
             },
             kStartTimeout),
         "etcd does not start", *etcd_);
  arguments_ = {"--etcd", client,         "--dir", root + "/server",
                "--core", "--compaction", "0"};
  if (!tokens.empty()) {
    arguments_.push_back("--tokens");
    arguments_.push_back(directory_.Write("tokens", tokens));
  }
  arguments_.insert(arguments_.end(), flags.begin(), flags.end());
  Start();
}

KubeApi::~KubeApi() {
  if (testing::Test::HasFailure() && server_ != nullptr) {
    std::cerr << server_->LogTail() << "\n";
  }
}

void KubeApi::Start() {
  std::vector<std::string> arguments = arguments_;
  arguments.insert(arguments.end(),
                   {"--listen", Local(port_), "--http", Local(plain_port_)});
  server_ = std::make_unique<Process>(KUBE_API_BINARY, arguments,
                                      directory_.path() + "/server.log");
  const bool ready = WaitUntil(
      [this] {
        const int status = Send("GET", "/readyz").status;
        // It answers: ready, or who asks may not know.
        return status == 200 || status == 401 || status == 403;
      },
      kStartTimeout);
  Demand(ready, "the server does not become ready", *server_);
}

void KubeApi::Kill() { server_->Kill(); }

std::string KubeApi::url() const { return "https://" + Local(port_); }

std::string KubeApi::ca_file() const {
  return directory_.path() + "/server/apiserver.crt";
}

HttpAnswer KubeApi::Send(absl::string_view method, absl::string_view target,
                         absl::string_view body, absl::string_view token,
                         absl::string_view content_type) {
  HttpHeaders headers = {{"Content-Type", std::string(content_type)}};
  if (!token.empty()) {
    headers.emplace_back("Authorization", absl::StrCat("Bearer ", token));
  }
  HttpAnswer answer;
  // Every client of Kubernetes asks again when it is told to: a kind that was
  // just made is set up again at times.
  WaitUntil([&] {
    answer = HttpSend(plain_port_, method, target, headers, body);
    return answer.status != 429 ||
           !absl::StrContains(answer.body, kInitializing);
  });
  return answer;
}

void KubeApi::Compact() {
  const HttpAnswer status =
      HttpSend(etcd_port_, "POST", "/v3/maintenance/status", {}, "{}");
  const auto json = nlohmann::json::parse(status.body, nullptr, false);
  ASSERT_TRUE(json.is_object()) << status.body;
  const std::string revision = json["header"]["revision"];
  const HttpAnswer done = HttpSend(
      etcd_port_, "POST", "/v3/kv/compaction", {},
      absl::StrCat(R"({"revision":")", revision, R"(","physical":true})"));
  ASSERT_EQ(done.status, 200) << done.body;
}

RightsOfRed::RightsOfRed(KubeApi* api, absl::string_view rule) : api_(*api) {
  const std::string role =
      absl::StrCat(R"({"metadata": {"name": "red"}, "rules": [)", rule, "]}");
  EXPECT_EQ(
      api_.Send("POST", absl::StrCat(kRbac, "clusterroles"), role, kAdminToken)
          .status,
      201);
  Give();
}

void RightsOfRed::Give() {
  EXPECT_EQ(api_.Send("POST", absl::StrCat(kRbac, "clusterrolebindings"), R"({
      "metadata": {"name": "red"},
      "roleRef": {"apiGroup": "rbac.authorization.k8s.io",
                  "kind": "ClusterRole", "name": "red"},
      "subjects": [{"kind": "User", "name": "red"}]})",
                      kAdminToken)
                .status,
            201);
}

void RightsOfRed::Withdraw() {
  EXPECT_EQ(api_.Send("DELETE", absl::StrCat(kRbac, "clusterrolebindings/red"),
                      "", kAdminToken)
                .status,
            200);
}

// Used on the thread of the pool.
struct Proxy::State {
  struct Pair {
    explicit Pair(tcp::socket accepted)
        : near(std::move(accepted)), far(near.get_executor()) {}
    tcp::socket near;
    tcp::socket far;
    bool stalled = false;
  };

  explicit State(int port) : to(port) {}

  asio::awaitable<void> Accept(tcp::acceptor* acceptor,
                               std::shared_ptr<State> self) {
    while (true) {
      auto [error, socket] = co_await acceptor->async_accept(kTuple);
      if (error) co_return;
      if (cut) continue;  // Closes it.
      auto pair = std::make_shared<Pair>(std::move(socket));
      const tcp::endpoint endpoint(asio::ip::address_v4::loopback(),
                                   static_cast<uint16_t>(to));
      const auto [refused] = co_await pair->far.async_connect(endpoint, kTuple);
      if (refused) continue;
      pairs.push_back(pair);
      const auto executor = acceptor->get_executor();
      asio::co_spawn(executor, Relay(pair, &pair->near, &pair->far, self),
                     asio::detached);
      asio::co_spawn(executor, Relay(pair, &pair->far, &pair->near, self),
                     asio::detached);
    }
  }

  asio::awaitable<void> Relay(std::shared_ptr<Pair> pair, tcp::socket* from,
                              tcp::socket* into, std::shared_ptr<State>) {
    std::vector<char> space(64 << 10);
    while (true) {
      const auto [error, bytes] =
          co_await from->async_read_some(asio::buffer(space), kTuple);
      if (pair->stalled) co_return;  // Both stay open, in `pairs`.
      if (error) break;
      const auto [failed, written] = co_await asio::async_write(
          *into, asio::buffer(space.data(), bytes), kTuple);
      if (failed) break;
    }
    Close(pair.get());
    pairs.remove(pair);
  }

  static void Close(Pair* pair) {
    boost::system::error_code ignored;
    pair->near.close(ignored);
    pair->far.close(ignored);
  }

  void CloseAll() {
    for (const auto& pair : pairs) Close(pair.get());
    pairs.clear();
  }

  const int to;
  bool cut = false;
  std::list<std::shared_ptr<Pair>> pairs;
};

Proxy::Proxy(int to) : state_(std::make_shared<State>(to)) {
  acceptor_.open(tcp::v4());
  acceptor_.bind({asio::ip::address_v4::loopback(), 0});
  acceptor_.listen();
  port_ = acceptor_.local_endpoint().port();
  asio::co_spawn(pool_, state_->Accept(&acceptor_, state_), asio::detached);
}

Proxy::~Proxy() {
  pool_.stop();
  pool_.join();
  state_->CloseAll();
}

void Proxy::Stall() {
  asio::post(pool_, asio::use_future([state = state_] {
               for (const auto& pair : state->pairs) pair->stalled = true;
             }))
      .wait();
}

void Proxy::Cut() {
  asio::post(pool_, asio::use_future([state = state_] {
               state->cut = true;
               state->CloseAll();
             }))
      .wait();
}

void Proxy::Resume() {
  asio::post(pool_, asio::use_future([state = state_] { state->cut = false; }))
      .wait();
}

}  // namespace insula::e2e
