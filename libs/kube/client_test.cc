#include "libs/kube/client.h"

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/kube/api_error.h"
#include "libs/kube/fake_api.h"
#include "libs/metrics/metrics.h"
#include "libs/status/status_matchers.h"

namespace insula::kube {
namespace {

namespace asio = boost::asio;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const Resource kThings = {"t.example", "v1", "things"};

asio::awaitable<absl::Status> CountAndRun(std::atomic<int>* count,
                                          std::function<absl::Status()> work) {
  ++*count;
  co_return work();
}

class ClientTest : public testing::Test {
 protected:
  ~ClientTest() override {
    client_.reset();
    pool_.join();
    api_.reset();
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }

  void Start(FakeApi::Script script, ClientOptions options = ClientOptions()) {
    api_ = std::make_unique<FakeApi>(std::move(script));
    cluster_.server = api_->url();
    client_ = std::make_unique<Client>(cluster_, std::move(options),
                                       pool_.get_executor(), &metrics_);
  }

  // Always answers so.
  void Start(int status, std::string body, std::string headers = "") {
    FakeApi::Answer answer;
    answer.status = status;
    answer.body = std::move(body);
    answer.headers = std::move(headers);
    Start([answer](const FakeApi::Request&) { return answer; });
  }

  template <typename T>
  T Await(asio::awaitable<T> work) {
    return asio::co_spawn(asio::make_strand(pool_), std::move(work),
                          asio::use_future)
        .get();
  }

  absl::StatusOr<Json> Get(std::string path = "/version") {
    ApiRequest request;
    request.path = std::move(path);
    return Await(client_->Call(std::move(request), Soon()));
  }

  absl::StatusOr<ListPage> List() {
    Selection selection;
    selection.resource = kThings;
    selection.namespace_name = "x";
    selection.label_selector = "a=b,c";
    return Await(client_->List(selection, 7, "next", Soon()));
  }

  std::string TokenFile(const std::string& token) {
    if (directory_.empty()) {
      std::string pattern = testing::TempDir() + "insula-token-XXXXXX";
      EXPECT_NE(mkdtemp(pattern.data()), nullptr);
      directory_ = pattern;
    }
    std::ofstream(directory_ + "/token") << token << "\n";
    return directory_ + "/token";
  }

  static absl::Time Soon() { return absl::Now() + absl::Seconds(20); }

  metrics::Registry metrics_;
  asio::thread_pool pool_{2};
  Cluster cluster_;
  std::unique_ptr<FakeApi> api_;
  std::unique_ptr<Client> client_;
  std::string directory_;
};

TEST_F(ClientTest, AsksAsItIsTold) {
  cluster_.token = "secret";
  Start(200, R"({"kind": "ThingList", "apiVersion": "t.example/v1",
                 "metadata": {"resourceVersion": "9", "continue": "more"},
                 "items": [{"metadata": {"name": "a"}}, {"kind": "Other"}]})");
  const auto page = List();
  ASSERT_THAT(page, IsOk());
  EXPECT_EQ(page->resource_version, "9");
  EXPECT_EQ(page->continue_token, "more");
  ASSERT_EQ(page->items.size(), 2u);
  EXPECT_EQ(StringAt(page->items[0], {"kind"}), "Thing");
  EXPECT_EQ(StringAt(page->items[0], {"apiVersion"}), "t.example/v1");
  EXPECT_EQ(StringAt(page->items[1], {"kind"}), "Other");
  EXPECT_THAT(api_->requests()[0].head,
              AllOf(HasSubstr("GET /apis/t.example/v1/namespaces/x/things?"
                              "labelSelector=a%3Db%2Cc&limit=7&continue=next"),
                    HasSubstr("Authorization: Bearer secret\r\n")));
}

TEST_F(ClientTest, TakesNothingElseForAList) {
  for (const char* body : {
           "",
           "null",
           "[]",
           "<html>",
           "{}",
           R"({"kind": "Status", "status": "Success"})",
           R"({"kind": "List", "metadata": {"resourceVersion": "1"},
               "items": []})",
           R"({"kind": "ThingList", "items": []})",
           R"({"kind": "ThingList", "metadata": {}, "items": []})",
           R"({"kind": "ThingList", "metadata": {"resourceVersion": "1"}})",
           R"({"kind": "ThingList", "metadata": {"resourceVersion": "1"},
               "items": {}})",
           R"({"kind": "ThingList", "metadata": {"resourceVersion": "1"},
               "items": [7]})",
       }) {
    client_.reset();
    Start(200, body);
    EXPECT_THAT(List(), StatusIs(absl::StatusCode::kUnavailable,
                                 HasSubstr("/things: the answer is no list")))
        << body;
  }
}

TEST_F(ClientTest, TellsTheErrorsOfTheApiApart) {
  const struct {
    int status;
    const char* reason;
    absl::StatusCode code;
  } table[] = {
      {400, "BadRequest", absl::StatusCode::kInvalidArgument},
      {401, "Unauthorized", absl::StatusCode::kUnauthenticated},
      {403, "Forbidden", absl::StatusCode::kPermissionDenied},
      {404, "NotFound", absl::StatusCode::kNotFound},
      {409, "AlreadyExists", absl::StatusCode::kAlreadyExists},
      {409, "Conflict", absl::StatusCode::kAborted},
      {410, "Expired", absl::StatusCode::kOutOfRange},
      {422, "Invalid", absl::StatusCode::kInvalidArgument},
      {429, "TooManyRequests", absl::StatusCode::kResourceExhausted},
      {500, "InternalError", absl::StatusCode::kUnavailable},
      {504, "Timeout", absl::StatusCode::kUnavailable},
  };
  for (const auto& row : table) {
    client_.reset();
    Start(row.status, absl::StrCat(R"({"kind": "Status", "reason": ")",
                                   row.reason, R"(", "message": "so it is"})"));
    const absl::Status error = Get().status();
    EXPECT_THAT(
        error, StatusIs(row.code, absl::StrCat("GET /version: ", row.status,
                                               " ", row.reason, ": so it is")));
    EXPECT_EQ(HttpStatusOf(error), row.status);
    EXPECT_EQ(RetryAfterOf(error), absl::ZeroDuration());
  }
}

TEST_F(ClientTest, HearsHowLongToWait) {
  Start(429, "slow down", "Retry-After: 3\r\n");
  absl::Status error = Get().status();
  EXPECT_EQ(RetryAfterOf(error), absl::Seconds(3));
  EXPECT_THAT(error.message(), HasSubstr("429: slow down"));
  client_.reset();
  Start(500, R"({"kind": "Status", "details": {"retryAfterSeconds": 7}})");
  EXPECT_EQ(RetryAfterOf(Get().status()), absl::Seconds(7));
  client_.reset();
  Start(500, R"({"kind": "Status", "details": {"retryAfterSeconds": "x"}})");
  EXPECT_EQ(RetryAfterOf(Get().status()), absl::ZeroDuration());
}

TEST_F(ClientTest, SaysThatAnAnswerIsTooLarge) {
  ClientOptions options;
  options.max_answer_bytes = 1000;
  Start(
      [](const FakeApi::Request&) {
        FakeApi::Answer answer;
        answer.body = std::string(1001, ' ');
        return answer;
      },
      options);
  const absl::Status error = Get().status();
  EXPECT_THAT(error, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(HttpStatusOf(error), 0);
}

TEST_F(ClientTest, AppliesAStatusToTheObjectThatItIsAbout) {
  Start(200, R"({"kind": "Thing"})");
  Json object = Json::object();
  object["apiVersion"] = "t.example/v1";
  object["kind"] = "Thing";
  object["metadata"] = {
      {"name", "a/b"}, {"namespace", "x"}, {"resourceVersion", "7"}};
  object["spec"]["n"] = 1;
  Json status = Json::object();
  status["ready"] = true;
  EXPECT_THAT(
      Await(client_->ApplyStatus(kThings, object, status, "us", Soon())),
      IsOk());
  const FakeApi::Request sent = api_->requests()[0];
  EXPECT_EQ(sent.line,
            "PATCH /apis/t.example/v1/namespaces/x/things/a%2Fb/status"
            "?fieldManager=us&force=true HTTP/1.1");
  EXPECT_THAT(sent.head,
              HasSubstr("Content-Type: application/apply-patch+yaml\r\n"));
  EXPECT_EQ(ParseJson(sent.body).value(),
            ParseJson(R"({"apiVersion": "t.example/v1", "kind": "Thing",
                          "metadata": {"name": "a/b", "namespace": "x",
                                       "resourceVersion": "7"},
                          "status": {"ready": true}})")
                .value());
  object["metadata"].erase("resourceVersion");
  EXPECT_THAT(
      Await(client_->ApplyStatus(kThings, object, status, "us", Soon())),
      StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ClientTest, ReadsARefusedTokenAgain) {
  cluster_.token_file = TokenFile("old");
  ClientOptions options;
  options.reload_interval = absl::Hours(1);
  Start(
      [](const FakeApi::Request& request) {
        FakeApi::Answer answer;
        answer.body = "{}";
        if (!absl::StrContains(request.head, "Bearer new\r\n")) {
          answer.status = 401;
        }
        return answer;
      },
      options);
  EXPECT_THAT(Get(), StatusIs(absl::StatusCode::kUnauthenticated));
  TokenFile("new");
  // Not more often than each second.
  while (!Get().ok()) {
    ASSERT_LT(api_->requests().size(), 10'000u);
  }
  EXPECT_THAT(api_->requests().back().head, HasSubstr("Bearer new\r\n"));
}

TEST_F(ClientTest, ReadsTheTokenAgainAfterAWhile) {
  cluster_.token_file = TokenFile("old");
  ClientOptions options;
  options.reload_interval = absl::ZeroDuration();
  Start(
      [](const FakeApi::Request&) {
        FakeApi::Answer answer;
        answer.body = "{}";
        return answer;
      },
      options);
  ASSERT_THAT(Get(), IsOk());
  TokenFile("new");
  ASSERT_THAT(Get(), IsOk());
  EXPECT_THAT(api_->requests()[1].head, HasSubstr("Bearer new\r\n"));
  // What can't be read leaves the last one in use.
  std::filesystem::remove(cluster_.token_file);
  ASSERT_THAT(Get(), IsOk());
  EXPECT_THAT(api_->requests()[2].head, HasSubstr("Bearer new\r\n"));
  EXPECT_EQ(metrics_
                .AddCounter("insula_kube_credential_failures_total",
                            "Readings of tokens and certificates for "
                            "Kubernetes that failed.")
                .Value(),
            1);
}

TEST_F(ClientTest, RunsWhatBlocksWhereItMay) {
  cluster_.token_file = TokenFile("t");
  std::atomic<int> ran = 0;
  ClientOptions options;
  options.run_blocking = [&ran](std::function<absl::Status()> work) {
    return CountAndRun(&ran, std::move(work));
  };
  const std::string large = absl::StrCat("[", std::string(100'000, ' '), "]");
  Start(
      [large](const FakeApi::Request& request) {
        FakeApi::Answer answer;
        answer.body = absl::StrContains(request.line, "large") ? large : "{}";
        return answer;
      },
      options);
  ASSERT_THAT(Get(), IsOk());
  EXPECT_EQ(ran, 1);  // The token.
  ASSERT_THAT(Get("/large"), IsOk());
  EXPECT_EQ(ran, 2);  // Parsing.
}

TEST_F(ClientTest, NeedsItsFiles) {
  cluster_.token_file = "/nonexistent/token";
  Start(200, "{}");
  EXPECT_THAT(Get(), StatusIs(absl::StatusCode::kNotFound,
                              HasSubstr("/nonexistent/token")));
  EXPECT_TRUE(api_->requests().empty());
}

TEST_F(ClientTest, SendsNoTokenInTheClear) {
  cluster_.token = "secret";
  api_ = std::make_unique<FakeApi>(
      [](const FakeApi::Request&) { return FakeApi::Answer(); });
  cluster_.server = http::Url::Parse("http://192.0.2.1:80").value();
  client_ = std::make_unique<Client>(cluster_, ClientOptions(),
                                     pool_.get_executor(), &metrics_);
  EXPECT_THAT(Get(), StatusIs(absl::StatusCode::kInvalidArgument,
                              AllOf(HasSubstr("in the clear"),
                                    Not(HasSubstr("secret")))));
}

}  // namespace
}  // namespace insula::kube
