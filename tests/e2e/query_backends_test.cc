// Stores that die and stores that hang, behind the query-frontend.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/e2e/harness/constellation.h"

namespace insula::e2e {
namespace {

using ::testing::Eq;
using ::testing::Lt;

constexpr char kToken[] = "green-token";

v1::Operation PutObject(v1::Kind kind, const std::string& id,
                        v1::Object object) {
  v1::Operation operation;
  object.mutable_meta()->set_kind(kind);
  object.mutable_meta()->set_id(id);
  *operation.mutable_put() = std::move(object);
  return operation;
}

// The tenant `green` with a reader, at an upstream of these URLs.
std::vector<v1::Operation> Green(const std::vector<std::string>& urls,
                                 const v1::Limits& limits) {
  v1::Object upstream;
  upstream.mutable_upstream()->set_isolation(v1::Upstream::ISOLATION_LABEL);
  upstream.mutable_upstream()->set_query_url(urls[0]);
  for (size_t i = 1; i < urls.size(); ++i) {
    upstream.mutable_upstream()->add_more_query_urls(urls[i]);
  }
  v1::Object bounds;
  *bounds.mutable_limits() = limits;
  v1::Object tenant;
  (*tenant.mutable_tenant()->mutable_enforced_labels())["namespace"] = "green";
  tenant.mutable_tenant()->set_upstream_id("replicas");
  tenant.mutable_tenant()->set_limits_id("of-green");
  v1::Object binding;
  binding.mutable_binding()->set_token_sha256(TokenHash(kToken));
  binding.mutable_binding()->add_tenant_ids("green");
  binding.mutable_binding()->add_roles(v1::ROLE_READ);
  return {PutObject(v1::KIND_UPSTREAM, "replicas", upstream),
          PutObject(v1::KIND_LIMITS, "of-green", bounds),
          PutObject(v1::KIND_TENANT, "green", tenant),
          PutObject(v1::KIND_BINDING, "green-reader", binding)};
}

// A real Prometheus that is written to without a gateway.
class Replica {
 public:
  Replica(const TempDir* dir, std::string name)
      : dir_(*dir), name_(std::move(name)), port_(ClaimPort()) {
    config_ = dir_.Write(name_ + ".yml", "global: {}\n");
    Start();
  }

  void Start() {
    process_ = std::make_unique<Process>(
        "/usr/bin/prometheus",
        std::vector<std::string>{
            "--config.file=" + config_,
            absl::StrCat("--storage.tsdb.path=", dir_.path(), "/", name_),
            absl::StrCat("--web.listen-address=127.0.0.1:", port_),
            "--web.enable-remote-write-receiver", "--log.level=warn"},
        absl::StrCat(dir_.path(), "/", name_, ".log"));
    ASSERT_TRUE(WaitUntil([this] { return IsReady(); }, kStartTimeout))
        << process_->LogTail();
  }
  void Kill() { process_->Kill(); }

  void Write(const std::vector<Series>& series) const {
    const HttpAnswer answer =
        HttpSend(port_, "POST", "/api/v1/write",
                 {{"Content-Type", "application/x-protobuf"},
                  {"Content-Encoding", "snappy"},
                  {"X-Prometheus-Remote-Write-Version", "0.1.0"}},
                 WriteBody(series));
    ASSERT_THAT(answer.status, testing::AnyOf(200, 204)) << answer.body;
  }

  std::string url() const { return absl::StrCat("http://127.0.0.1:", port_); }
  int port() const { return port_; }

 private:
  bool IsReady() const {
    return HttpSend(port_, "GET", "/-/ready").status == 200;
  }

  const TempDir& dir_;
  const std::string name_;
  const int port_;
  std::string config_;
  std::unique_ptr<Process> process_;
};

// The result of an answer, in an order of its own; "" for an error.
std::string ResultOf(const HttpAnswer& answer) {
  const auto json = nlohmann::json::parse(answer.body, nullptr, false);
  if (answer.status != 200 || !json.is_object() || !json.contains("data")) {
    return "";
  }
  std::vector<std::string> parts;
  for (const auto& part : json["data"]["result"]) parts.push_back(part.dump());
  std::sort(parts.begin(), parts.end());
  return absl::StrCat(json["data"]["resultType"].dump(),
                      nlohmann::json(parts).dump());
}

HttpAnswer Ask(int port, const std::string& target) {
  return HttpSend(port, "GET", target, {Bearer(kToken)});
}

// How many answers are compared: REPLICA_ANSWERS, else 1,000.
int WantedAnswers() {
  const char* const given = std::getenv("REPLICA_ANSWERS");
  int wanted = 1000;
  EXPECT_TRUE(given == nullptr || absl::SimpleAtoi(given, &wanted));
  return wanted;
}

std::vector<Series> SeriesOf(const std::string& tenant, double scale,
                             absl::Time now) {
  std::vector<Series> series;
  for (int i = 0; i < 40; ++i) {
    for (int ago = 50; ago >= 10; ago -= 10) {
      series.push_back({{{"__name__", i % 2 == 0 ? "requests" : "errors"},
                         {"namespace", tenant},
                         {"pod", absl::StrCat("p", i / 2)}},
                        scale * (i + 100.0 / ago),
                        now - absl::Seconds(ago)});
    }
  }
  return series;
}

TEST(QueryBackendsTest, AReplicaKilledUnderLoadGivesNoWrongAnswer) {
  const absl::Time now =
      absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now()));
  TempDir dir;
  Replica one(&dir, "one");
  Replica two(&dir, "two");
  Replica alone(&dir, "alone");  // With the series of green and no others.
  for (Replica* const store : {&one, &two, &alone}) {
    store->Write(SeriesOf("green", 1, now));
    if (store != &alone) store->Write(SeriesOf("blue", 1000, now));
  }
  Constellation constellation;
  constellation.StartRegistry();
  constellation.StartFrontend();
  constellation.Apply(Green({one.url(), two.url()}, v1::Limits()));
  const int port = constellation.frontend_port();
  ASSERT_TRUE(WaitUntil(
      [&] { return Ask(port, "/api/v1/query?query=1").status == 200; }));

  std::vector<std::string> targets;
  std::vector<std::string> expected;
  const int64_t at = absl::ToUnixSeconds(now);
  for (const char* query :
       {"requests", "sum(requests)", "sum by (pod) (requests / errors)",
        "rate(requests[1m])", "topk(3, errors)", "count({pod=~\"p.*\"})",
        "max_over_time(errors[30s:10s])", "requests{namespace=\"blue\"}"}) {
    const std::string text = FormEncode({{"query", query}});
    targets.push_back(absl::StrCat("/api/v1/query?time=", at, "&", text));
    targets.push_back(absl::StrCat("/api/v1/query_range?start=", at - 50,
                                   "&end=", at, "&step=5&", text));
  }
  for (const std::string& target : targets) {
    expected.push_back(ResultOf(HttpSend(alone.port(), "GET", target)));
    ASSERT_FALSE(expected.back().empty()) << target;
  }

  const int wanted = WantedAnswers();
  std::atomic<int> asked{0};
  std::atomic<int> compared{0};
  std::atomic<int> wrong{0};
  std::atomic<int> failed{0};
  std::mutex mutex;
  std::string example;
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      for (int n; (n = asked++) < wanted;) {
        const size_t which = static_cast<size_t>(n) % targets.size();
        const HttpAnswer answer = Ask(port, targets[which]);
        ++compared;
        if (answer.status == 200 && ResultOf(answer) == expected[which]) {
          continue;
        }
        ++(answer.status == 200 ? wrong : failed);
        const std::lock_guard<std::mutex> lock(mutex);
        example = absl::StrCat(targets[which], ": ", answer.status, " ",
                               answer.body, ", not ", expected[which]);
      }
    });
  }
  const auto reached = [&](int part) {
    return WaitUntil([&] { return asked >= wanted * part / 4; },
                     absl::Minutes(10));
  };
  EXPECT_TRUE(reached(1));
  two.Kill();
  EXPECT_TRUE(reached(2));
  two.Start();
  EXPECT_TRUE(reached(3));
  one.Kill();
  for (std::thread& client : clients) client.join();
  EXPECT_THAT(compared.load(), Eq(wanted));
  EXPECT_THAT(wrong.load(), Eq(0)) << example;
  EXPECT_THAT(failed.load(), Lt(wanted / 100)) << example;
  std::printf("%d answers compared, %d wrong, %d not given\n", compared.load(),
              wrong.load(), failed.load());
}

// Takes queries and never answers; knows when each was let go.
class HangingStore {
 public:
  HangingStore() {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd_, 16), 0);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    url_ = absl::StrCat("http://127.0.0.1:", ntohs(address.sin_port));
    acceptor_ = std::thread([this] { Accept(); });
  }
  // The query-frontend must have ended: its connections have.
  ~HangingStore() {
    shutdown(fd_, SHUT_RDWR);
    acceptor_.join();
    for (std::thread& reader : readers_) reader.join();
    close(fd_);
  }

  const std::string& url() const { return url_; }
  int taken() const { return taken_; }
  int let_go() const { return let_go_; }
  // When the last one was.
  absl::Time let_go_at() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return let_go_at_;
  }

 private:
  void Accept() {
    for (int peer; (peer = accept(fd_, nullptr, nullptr)) >= 0;) {
      readers_.emplace_back([this, peer] { Read(peer); });
    }
  }
  void Read(int peer) {
    std::string head;
    bool query = false;
    char buffer[4096];
    for (ssize_t size; (size = recv(peer, buffer, sizeof(buffer), 0)) > 0;) {
      head.append(buffer, static_cast<size_t>(size));
      if (!query && absl::StartsWith(head, "POST /api/v1/query ")) {
        query = true;
        ++taken_;
      }
    }
    if (query) {
      const std::lock_guard<std::mutex> lock(mutex_);
      let_go_at_ = absl::Now();
      ++let_go_;
    }
    close(peer);
  }

  int fd_;
  std::string url_;
  std::atomic<int> taken_{0};
  std::atomic<int> let_go_{0};
  std::mutex mutex_;
  absl::Time let_go_at_;
  std::thread acceptor_;
  std::vector<std::thread> readers_;
};

TEST(QueryBackendsTest, AStoreIsLetGoWithin100MillisecondsOfTheClient) {
  HangingStore store;
  Constellation constellation;
  constellation.StartRegistry();
  constellation.StartFrontend();
  // One place: a query that kept it would hold up all that come later.
  v1::Limits limits;
  limits.set_max_concurrent_queries(1);
  constellation.Apply(Green({store.url()}, limits));
  const std::string request =
      absl::StrCat("GET /api/v1/query?query=up HTTP/1.1\r\nHost: h\r\n",
                   "Authorization: Bearer ", kToken, "\r\n\r\n");
  ASSERT_TRUE(WaitUntil([&] {
    return Ask(constellation.frontend_port(), "/api/v1/labels?start=x")
               .status == 400;
  }));
  // A busy machine is late at times; one that waits for a timer is every time.
  absl::Duration best = absl::InfiniteDuration();
  for (int i = 1; i <= 20; ++i) {
    const int client = Connect(constellation.frontend_port());
    ASSERT_GE(client, 0);
    ASSERT_EQ(send(client, request.data(), request.size(), 0),
              static_cast<ssize_t>(request.size()));
    ASSERT_TRUE(WaitUntil([&] { return store.taken() == i; })) << i;
    EXPECT_THAT(store.let_go(), Eq(i - 1));
    const absl::Time left_at = absl::Now();
    close(client);
    ASSERT_TRUE(WaitUntil([&] { return store.let_go() == i; })) << i;
    best = std::min(best, store.let_go_at() - left_at);
  }
  EXPECT_THAT(best, Lt(absl::Milliseconds(100)));
  constellation.frontend->Kill();
}

}  // namespace
}  // namespace insula::e2e
