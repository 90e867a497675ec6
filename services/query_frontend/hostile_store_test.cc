// Stores that hang, break, lie, or show what the tenant must not see.

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "services/query_frontend/api_fixture.h"

namespace insula::query_frontend {
namespace {

namespace asio = boost::asio;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kSeries[] = "/api/v1/series?match[]=up";

TEST_F(ApiTest, WithholdsASeriesOfAnotherTenant) {
  store_.SetAnswer(200, R"({"status":"success","data":[)"
                        R"({"__name__":"up","namespace":"red"},)"
                        R"({"__name__":"canary","namespace":"blue"}]})");
  const http::Response response = Get(kSeries);
  EXPECT_EQ(response.status, 500);
  EXPECT_THAT(response.body, HasSubstr("insula: tenant red: the answer of "
                                       "upstream shared held what is not"));
  EXPECT_THAT(response.body, Not(HasSubstr("canary")));
  EXPECT_THAT(response.body, Not(HasSubstr("blue")));
  EXPECT_EQ(metrics_.leaks_prevented.Value(), 1);
}

TEST_F(ApiTest, WithholdsForeignValuesOfAnEnforcedLabel) {
  store_.SetAnswer(200, R"({"status":"success","data":["red","canary"]})");
  EXPECT_EQ(Get("/api/v1/label/job/values").status, 200);
  const http::Response response = Get("/api/v1/label/namespace/values");
  EXPECT_EQ(response.status, 500);
  EXPECT_THAT(response.body, Not(HasSubstr("canary")));
  EXPECT_EQ(metrics_.leaks_prevented.Value(), 1);
}

struct Answered {
  int status;
  std::string body;
  std::string content_type;
};

void PrintTo(const Answered& answered, std::ostream* os) {
  *os << answered.status << " " << answered.body;
}

class OddStoreTest : public ApiTest,
                     public testing::WithParamInterface<Answered> {};

TEST_P(OddStoreTest, IsABadGatewayThatShowsNothing) {
  store_.SetAnswer(GetParam().status, GetParam().body, GetParam().content_type);
  const http::Response response = Get("/api/v1/query?query=up");
  EXPECT_EQ(response.status, 502) << response.body;
  EXPECT_THAT(response.body, HasSubstr("insula: upstream shared answered"));
  EXPECT_THAT(response.body, Not(HasSubstr("canary")));
  EXPECT_THAT(response.body, Not(HasSubstr("127.0.0.1")));
  EXPECT_EQ(response.headers.Count("Location"), 0);
  EXPECT_EQ(metrics_.upstream_garbage.Value(), 1);
}

constexpr char kGood[] =
    R"({"status":"success","data":{"resultType":"vector","result":[]}})";
constexpr char kJson[] = "application/json";

INSTANTIATE_TEST_SUITE_P(
    All, OddStoreTest,
    testing::Values(
        Answered{200, kGood, "text/html"}, Answered{200, kGood, "text/plain"},
        Answered{200, kGood, "application/jsonx"}, Answered{200, "", kJson},
        Answered{200, "canary", kJson},
        Answered{200, "<html>canary</html>", "text/html"},
        Answered{200, R"({"canary":1})", kJson},
        Answered{200, R"({"status":"success","data":{"canary":[]}})", kJson},
        Answered{200, R"({"status":"success","data":{"resultType")", kJson},
        Answered{
            200,
            R"({"status":"error","errorType":"bad_data","error":"canary"})",
            kJson},
        Answered{204, "", ""}, Answered{301, "canary", "text/html"},
        Answered{302, kGood, kJson}, Answered{401, "canary", "text/plain"},
        Answered{403, R"({"error":"canary"})", kJson},
        Answered{404, "404 page not found canary", "text/plain"},
        Answered{429, "canary", "text/plain"}, Answered{500, kGood, kJson},
        Answered{502, "canary", "text/html"},
        Answered{503, "Service Unavailable canary", "text/plain"}));

TEST_F(ApiTest, RelaysErrorsAboutTheQuery) {
  store_.SetAnswer(
      422, R"({"status":"error","errorType":"execution","error":"too much"})");
  const http::Response response = Get("/api/v1/query?query=up");
  EXPECT_EQ(response.status, 422);
  EXPECT_EQ(response.body,
            R"({"status":"error","errorType":"execution","error":"too much"})");
}

TEST_F(ApiTest, HidesTheWordsOfErrorsOfTheStoreItself) {
  store_.SetAnswer(500, R"({"status":"error","errorType":"internal",)"
                        R"("error":"canary at http://10.0.0.1"})");
  const http::Response response = Get("/api/v1/query?query=up");
  EXPECT_EQ(response.status, 500);
  EXPECT_THAT(response.body, HasSubstr("insula: the upstream failed"));
  EXPECT_THAT(response.body, Not(HasSubstr("canary")));
}

TEST_F(ApiTest, SaysThatAStoreCannotBeReached) {
  const http::Response response = Get("/api/v1/query?query=up", "token-cut");
  EXPECT_EQ(response.status, 503);
  EXPECT_THAT(response.body, HasSubstr(R"("errorType":"unavailable")"));
  EXPECT_THAT(response.body, HasSubstr("insula: upstream down can't be"));
  EXPECT_THAT(response.body, Not(HasSubstr("127.0.0.1")));
  EXPECT_EQ(metrics_.upstream_unreachable.Value(), 1);
}

// Answers, to nobody, once its caller has gone.
asio::awaitable<http::Response> HangUntil(http::Request,
                                          std::promise<void>* gone) {
  asio::steady_timer never(co_await asio::this_coro::executor,
                           std::chrono::hours(1));
  boost::system::error_code ignored;
  co_await never.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  if (gone != nullptr) gone->set_value();
  co_return http::Response();
}

TEST_F(ApiTest, GivesUpAtTheDeadline) {
  store_.SetAnswer([](http::Request request) {
    return HangUntil(std::move(request), nullptr);
  });
  http::Request request = Request("GET", "/api/v1/query?query=up", "token-red");
  request.deadline = absl::Now() + absl::Seconds(2);
  const http::Response response = Send(std::move(request));
  EXPECT_LT(absl::Now(), request.deadline + absl::Minutes(1));
  EXPECT_EQ(response.status, 504);
  EXPECT_THAT(response.body, HasSubstr(R"("errorType":"timeout")"));
  EXPECT_THAT(response.body, HasSubstr("insula: upstream shared did not"));
  EXPECT_EQ(metrics_.upstream_timeout.Value(), 1);
}

TEST_F(ApiTest, LetsTheStoreGoWhenTheClientDoes) {
  std::promise<void> asked;
  std::promise<void> gone;
  store_.SetAnswer([&](http::Request request) {
    asked.set_value();
    return HangUntil(std::move(request), &gone);
  });
  asio::cancellation_signal client_left;
  auto strand = asio::make_strand(pool_);
  std::future<http::Response> response = asio::co_spawn(
      strand,
      handler_.Handle(Request("GET", "/api/v1/query?query=up", "token-red"),
                      &auth_),
      asio::bind_cancellation_slot(client_left.slot(), asio::use_future));
  asked.get_future().get();
  asio::post(strand,
             [&] { client_left.emit(asio::cancellation_type::terminal); });
  // The store's own server sees the connection end.
  EXPECT_EQ(gone.get_future().wait_for(std::chrono::seconds(60)),
            std::future_status::ready);
  response.wait();
}

// Accepts one connection, takes a request and sends `bytes`, then closes.
class RawStore {
 public:
  explicit RawStore(std::string bytes) {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd_, 8), 0);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    url_ = absl::StrCat("http://127.0.0.1:", ntohs(address.sin_port));
    thread_ = std::thread([this, bytes = std::move(bytes)] {
      for (int peer; (peer = accept(fd_, nullptr, nullptr)) >= 0;) {
        char buffer[4096];
        if (recv(peer, buffer, sizeof(buffer), 0) > 0) {
          send(peer, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        }
        shutdown(peer, SHUT_WR);
        while (recv(peer, buffer, sizeof(buffer), 0) > 0) {
        }
        close(peer);
      }
    });
  }
  ~RawStore() {
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    close(fd_);
  }
  const std::string& url() const { return url_; }

 private:
  int fd_;
  std::string url_;
  std::thread thread_;
};

class LyingStoreTest : public ApiTest,
                       public testing::WithParamInterface<std::string> {};

TEST_P(LyingStoreTest, IsNeverASuccess) {
  RawStore store(GetParam());
  tenancy::SnapshotBuilder builder(*snapshot_);
  PutUpstream(&builder, "down", store.url(), v1::Upstream::ISOLATION_LABEL);
  snapshot_ = std::move(builder).Build(8, "e");
  const http::Response response = Get("/api/v1/query?query=up", "token-cut");
  EXPECT_THAT(response.status, testing::AnyOf(502, 503)) << response.body;
  EXPECT_THAT(response.body, HasSubstr("insula: upstream down"));
  EXPECT_THAT(response.body, Not(HasSubstr("canary")));
}

INSTANTIATE_TEST_SUITE_P(
    All, LyingStoreTest,
    testing::Values(
        "", "canary", "SSH-2.0-canary\r\n",
        absl::StrCat("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                     "Content-Length: 500\r\n\r\n",
                     kGood),
        absl::StrCat("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                     "Content-Length: 10\r\nContent-Length: 66\r\n\r\n",
                     kGood),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"sta\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        "Content-Encoding: gzip\r\nContent-Length: 6\r\n\r\ncanary"));

}  // namespace
}  // namespace insula::query_frontend
