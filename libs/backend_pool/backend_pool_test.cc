#include "libs/backend_pool/backend_pool.h"

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/kube/fake_api.h"
#include "libs/metrics/metrics.h"
#include "libs/status/status_matchers.h"
#include "libs/time/clock.h"

namespace insula::backend_pool {
namespace {

namespace asio = boost::asio;
using ::testing::Eq;
using ::testing::Ge;
using ::testing::Le;
using Replica = kube::FakeApi;

class BackendPoolTest : public ::testing::Test {
 protected:
  BackendPoolTest() {
    options_.name = "store";
    options_.probe_path = "";
    options_.replicas.mode = Mode::kActivePassive;
    http::ClientOptions options;
    options.name = "upstream";
    client_ = std::make_shared<http::Client>(options, pool_.get_executor(),
                                             &metrics_);
  }
  ~BackendPoolTest() override {
    backends_.reset();
    client_.reset();
    pool_.join();
  }

  // A replica that says `status` and `body` to all it is asked.
  std::unique_ptr<Replica> Make(int status, std::string body,
                                std::string headers = "") {
    return std::make_unique<Replica>([=](const Replica::Request&) {
      Replica::Answer answer;
      answer.status = status;
      answer.body = body;
      answer.headers = headers;
      return answer;
    });
  }
  void Start(const std::vector<http::Url>& urls) {
    backends_ = std::make_unique<BackendPool>(
        options_, BackendPool::Environment{.executor = pool_.get_executor(),
                                           .client = client_,
                                           .steady = SteadyClock::Get(),
                                           .metrics = &metrics_});
    backends_->Update(urls);
  }
  std::future<absl::StatusOr<http::Response>> Begin() {
    return asio::co_spawn(asio::make_strand(pool_),
                          backends_->Send(
                              [](const http::Url& base) {
                                http::ClientRequest request;
                                request.url = base.Join("/api/v1/query");
                                return request;
                              },
                              absl::Now() + absl::Seconds(20)),
                          asio::use_future);
  }
  std::string Ask() {
    const auto answer = Begin().get();
    return answer.ok()
               ? absl::StrCat(answer->status, " ", answer->body)
               : std::string(absl::StatusCodeToString(answer.status().code()));
  }
  // Of a port where nobody listens any more.
  static http::Url Gone() {
    return Replica([](const Replica::Request&) { return Replica::Answer(); })
        .url();
  }

  asio::thread_pool pool_{2};
  metrics::Registry metrics_;
  std::shared_ptr<http::Client> client_;
  BackendPool::Options options_;
  std::unique_ptr<BackendPool> backends_;
};

TEST_F(BackendPoolTest, WithoutReplicasNothingIsSent) {
  Start({});
  EXPECT_THAT(Ask(), Eq("UNAVAILABLE"));
}

TEST_F(BackendPoolTest, AnotherReplicaAnswersForOneThatIsGone) {
  const auto well = Make(200, "good");
  Start({Gone(), well->url()});
  for (int i = 0; i < 5; ++i) EXPECT_THAT(Ask(), Eq("200 good"));
  const auto statuses = backends_->Statuses();
  EXPECT_FALSE(statuses[0].well);
  EXPECT_TRUE(statuses[1].well);
}

TEST_F(BackendPoolTest, AProxysErrorIsNoAnswer) {
  const auto proxy = Make(502, "bad gateway", "Content-Type: text/html\r\n");
  const auto well = Make(200, "good");
  Start({proxy->url(), well->url()});
  EXPECT_THAT(Ask(), Eq("200 good"));
}

TEST_F(BackendPoolTest, AStoresErrorIsAnAnswer) {
  const auto slow = Make(503, "{}", "Content-Type: application/json\r\n");
  const auto well = Make(200, "good");
  Start({slow->url(), well->url()});
  for (int i = 0; i < 5; ++i) EXPECT_THAT(Ask(), Eq("503 {}"));
  EXPECT_TRUE(backends_->Statuses()[0].well);
  EXPECT_TRUE(well->requests().empty());
}

TEST_F(BackendPoolTest, TheLastAnswerIsShownWhenNoneIsBetter) {
  const auto one = Make(503, "one", "Content-Type: text/plain\r\n");
  const auto two = Make(503, "two", "Content-Type: text/plain\r\n");
  options_.max_attempts = 2;
  Start({one->url(), two->url()});
  EXPECT_THAT(Ask(), Eq("503 two"));
}

TEST_F(BackendPoolTest, RetriesEndWithTheBudget) {
  options_.retries = {.ratio = 0, .most = 3};
  options_.max_attempts = 2;
  const auto one = Make(503, "", "Content-Type: text/plain\r\n");
  const auto two = Make(503, "", "Content-Type: text/plain\r\n");
  Start({one->url(), two->url()});
  for (int i = 0; i < 10; ++i) Ask();
  EXPECT_THAT(one->requests().size() + two->requests().size(), Eq(13));
}

TEST_F(BackendPoolTest, ProbesFindOutWhoIsThere) {
  options_.probe_path = "/-/ready";
  options_.probe_interval = absl::Milliseconds(5);
  const auto ill = Make(503, "Service Unavailable");
  // A store that knows no such path.
  const auto well = Make(404, "not found");
  Start({ill->url(), well->url()});
  ASSERT_TRUE(ill->WaitFor(4));
  ASSERT_TRUE(well->WaitFor(4));
  EXPECT_THAT(ill->requests()[0].line, Eq("GET /-/ready HTTP/1.1"));
  EXPECT_THAT(Ask(), Eq("404 not found"));
  EXPECT_FALSE(backends_->Statuses()[0].well);
  for (const auto& request : ill->requests()) {
    EXPECT_TRUE(absl::StrContains(request.line, "/-/ready"));
  }
}

TEST_F(BackendPoolTest, AReplicaThatIsAloneIsNeitherProbedNorAskedTwice) {
  options_.probe_path = "/-/ready";
  options_.probe_interval = absl::Milliseconds(1);
  const auto alone = Make(503, "", "Content-Type: text/plain\r\n");
  Start({alone->url()});
  for (int i = 0; i < 5; ++i) Ask();
  EXPECT_THAT(alone->requests().size(), Eq(5));
}

TEST_F(BackendPoolTest, EndsWhileAProbeIsUnderWay) {
  options_.probe_path = "/-/ready";
  options_.probe_interval = absl::ZeroDuration();
  const auto one = Make(200, "one");
  const auto two = Make(200, "two");
  for (int i = 0; i < 50; ++i) {
    Start({one->url(), two->url()});
    EXPECT_EQ(Ask().substr(0, 3), "200");
    backends_.reset();
  }
}

TEST_F(BackendPoolTest, AReplicaThatDiesUnderLoadCostsNoAnswer) {
  options_.replicas.mode = Mode::kBalanced;
  options_.retries = {.ratio = 0.1, .most = 20};
  const auto stays = Make(200, "good");
  auto dies = Make(200, "good");
  Start({stays->url(), dies->url()});
  int good = 0;
  for (int round = 0; round < 100; ++round) {
    std::vector<std::future<absl::StatusOr<http::Response>>> answers;
    for (int i = 0; i < 5; ++i) answers.push_back(Begin());
    if (round == 30) dies.reset();
    for (auto& future : answers) {
      const auto answer = future.get();
      good += answer.ok() && answer->body == "good" ? 1 : 0;
    }
  }
  EXPECT_THAT(good, Eq(500));
}

}  // namespace
}  // namespace insula::backend_pool
