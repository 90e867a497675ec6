#include "libs/http/client.h"

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "libs/http/client_fixture.h"
#include "libs/http/test_support.h"
#include "libs/status/status_matchers.h"

namespace insula::http {
namespace {

namespace asio = boost::asio;
using testing::AllOf;
using testing::Eq;
using testing::HasSubstr;
using testing::Not;
using testing::Optional;

class ClientTest : public ClientFixture {};

TEST_F(ClientTest, SendsWhatItIsGiven) {
  Make();
  RawListener listener;
  ClientRequest request = To(listener.port(), "/a%20b?c=d");
  request.method = "POST";
  request.body = "hello";
  request.headers = {{"X-Scope-OrgID", "red"},
                     {"Connection", "mine"},
                     {"host", "mine"},
                     {"Content-Length", "99"},
                     {"Transfer-Encoding", "chunked"}};
  std::future<Result> result = Ask(std::move(request));
  auto upstream = listener.Accept();
  EXPECT_EQ(upstream->ReadMessage(),
            absl::StrCat(
                "POST /a%20b?c=d HTTP/1.1\r\nHost: 127.0.0.1:", listener.port(),
                "\r\nX-Scope-OrgID: red\r\nContent-Length: 5\r\n"
                "Accept-Encoding: gzip\r\n\r\nhello"));
  upstream->Send("HTTP/1.1 404 Nope\r\nX-A: b\r\nContent-Length: 3\r\n\r\nabc");
  const Result response = result.get();
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->status, 404);
  EXPECT_EQ(response->body, "abc");
  EXPECT_THAT(response->headers.Get("x-a"), Optional(Eq("b")));
}

TEST_F(ClientTest, UsesAConnectionAgain) {
  Make();
  Start(Echo);
  for (int i = 0; i < 5; ++i) {
    const Result response =
        Ask(To(server_->port(), absl::StrCat("/", i))).get();
    ASSERT_THAT(response, IsOk());
    EXPECT_EQ(response->body, absl::StrCat("GET /", i, " \n"));
  }
  EXPECT_EQ(Connections(), 1);
}

TEST_F(ClientTest, LeavesAnIdleConnectionToThoseOfTheSameContext) {
  Start(Echo);
  Make();
  asio::thread_pool other(1);
  const auto ask_there = [&] {
    return asio::co_spawn(other,
                          client_->Send(To(server_->port()),
                                        absl::Now() + absl::Seconds(20)),
                          asio::use_future)
        .get();
  };
  ASSERT_TRUE(Ask(To(server_->port())).get().ok());
  ASSERT_TRUE(ask_there().ok());
  EXPECT_EQ(Connections(), 2);
  ASSERT_TRUE(Ask(To(server_->port())).get().ok());
  ASSERT_TRUE(ask_there().ok());
  EXPECT_EQ(Connections(), 2);
  End();
}

TEST_F(ClientTest, SharesConnectionsBetweenContextsRatherThanWait) {
  Start(Echo);
  ClientOptions options;
  options.max_connections_per_host = 1;
  Make(std::move(options));
  asio::thread_pool other(1);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(Ask(To(server_->port())).get().ok());
    const Result there =
        asio::co_spawn(
            other,
            client_->Send(To(server_->port()), absl::Now() + absl::Seconds(20)),
            asio::use_future)
            .get();
    ASSERT_TRUE(there.ok()) << there.status();
    EXPECT_EQ(Connections(), 1);
  }
  End();
}

TEST_F(ClientTest, WorksFromACoroutineWithoutAStrand) {
  Make();
  Start(Echo);
  const Result response =
      Await(pool_, client_->Send(To(server_->port(), "/x"),
                                 absl::Now() + absl::Seconds(20)));
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->body, "GET /x \n");
}

TEST_F(ClientTest, LooksUpNames) {
  Make();
  Start(Echo);
  ClientRequest request = To(server_->port());
  request.url.host = "localhost";
  EXPECT_THAT(Ask(std::move(request)).get(), IsOk());
}

TEST_F(ClientTest, SendsAgainOnceIfAPooledConnectionWasClosed) {
  Make();
  RawListener listener;
  std::future<Result> first = Ask(To(listener.port(), "/1"));
  auto upstream = listener.Accept();
  upstream->ReadMessage();
  upstream->Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  ASSERT_THAT(first.get(), IsOk());

  // It closes when it sees the request, so the client could not know before.
  std::future<Result> second = Ask(To(listener.port(), "/2"));
  EXPECT_THAT(upstream->ReadMessage(), HasSubstr("GET /2 "));
  upstream.reset();
  auto again = listener.Accept();
  EXPECT_THAT(again->ReadMessage(), HasSubstr("GET /2 "));
  again->Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  const Result response = second.get();
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->body, "ok");
}

TEST_F(ClientTest, DoesNotSendAgainOnceAByteHasCome) {
  Make();
  RawListener listener;
  std::future<Result> first = Ask(To(listener.port(), "/1"));
  auto upstream = listener.Accept();
  upstream->ReadMessage();
  upstream->Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  ASSERT_THAT(first.get(), IsOk());
  std::future<Result> second = Ask(To(listener.port(), "/2"));
  upstream->ReadMessage();
  upstream->Send("HTTP/1.1 20");
  upstream.reset();
  EXPECT_THAT(second.get(), StatusIs(absl::StatusCode::kUnavailable,
                                     HasSubstr("ended before the answer")));
}

TEST_F(ClientTest, DoesNotSendAgainOnANewConnection) {
  Make();
  EXPECT_THAT(Interpret(""), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ClientTest, DoesNotUseAConnectionWithUnexpectedBytes) {
  Make();
  RawListener listener;
  std::future<Result> first = Ask(To(listener.port(), "/1"));
  auto upstream = listener.Accept();
  upstream->ReadMessage();
  upstream->Send(
      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  ASSERT_THAT(first.get(), IsOk());
  std::future<Result> second = Ask(To(listener.port(), "/2"));
  auto fresh = listener.Accept();
  fresh->ReadMessage();
  fresh->Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
  EXPECT_EQ(second.get().value().body, "good");
}

TEST_F(ClientTest, GivesUpAtTheDeadline) {
  Make();
  RawListener listener;  // Never answers.
  EXPECT_THAT(Ask(To(listener.port()), absl::Milliseconds(50)).get(),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       HasSubstr(absl::StrCat("127.0.0.1:", listener.port()))));
  EXPECT_THAT(Ask(To(listener.port()), absl::ZeroDuration()).get(),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(Connections(), 0);
}

TEST_F(ClientTest, GivesUpAtTheDeadlineWithinTheBody) {
  Make();
  RawListener listener;
  std::future<Result> result = Ask(To(listener.port()), absl::Seconds(1));
  auto upstream = listener.Accept();
  upstream->Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
  EXPECT_THAT(result.get(), StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(ClientTest, ReportsThatNobodyListens) {
  Make();
  int port;
  {
    RawListener listener;
    port = listener.port();
  }
  EXPECT_THAT(Ask(To(port)).get(),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("can't connect"),
                             HasSubstr(absl::StrCat("127.0.0.1:", port)))));
}

TEST_F(ClientTest, CancellingTheCallerClosesTheConnection) {
  Make();
  RawListener listener;
  const auto strand = asio::make_strand(pool_.get_executor());
  asio::cancellation_signal signal;
  std::promise<Result> result;
  asio::co_spawn(
      strand,
      client_->Send(To(listener.port()), absl::Now() + absl::Minutes(5)),
      asio::bind_cancellation_slot(
          signal.slot(), [&result](std::exception_ptr, const Result& got) {
            result.set_value(got);
          }));
  auto upstream = listener.Accept();
  upstream->ReadMessage();
  asio::post(strand,
             [&signal] { signal.emit(asio::cancellation_type::terminal); });
  EXPECT_THAT(result.get_future().get(),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_TRUE(upstream->AtEnd());
  pool_.join();  // Nobody uses the signal any more.
}

TEST_F(ClientTest, ReadsAnAnswerThatComesBeforeTheRequestIsSent) {
  Make();
  RawListener listener;
  ClientRequest request = To(listener.port());
  request.method = "POST";
  request.body = std::string(20 << 20, 'x');
  std::future<Result> result = Ask(std::move(request));
  auto upstream = listener.Accept();
  upstream->ReadThrough("\r\n\r\n");
  upstream->Send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
  upstream->ReadMany(20 << 20);
  const Result response = result.get();
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->status, 413);
}

TEST_F(ClientTest, FurtherRequestsWaitForAConnection) {
  ClientOptions options;
  options.max_connections_per_host = 1;
  Make(std::move(options));
  RawListener listener;
  std::future<Result> first = Ask(To(listener.port(), "/1"));
  auto upstream = listener.Accept();
  EXPECT_THAT(upstream->ReadMessage(), HasSubstr("GET /1 "));
  // This one can't wait long enough, the next one can.
  EXPECT_THAT(Ask(To(listener.port(), "/2"), absl::Milliseconds(50)).get(),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  std::future<Result> third = Ask(To(listener.port(), "/3"));
  upstream->Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
  EXPECT_EQ(first.get().value().body, "1");
  EXPECT_THAT(upstream->ReadMessage(), HasSubstr("GET /3 "));
  upstream->Send(
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n3");
  EXPECT_EQ(third.get().value().body, "3");
  EXPECT_EQ(Connections(), 0);
}

TEST_F(ClientTest, ClosesIdleConnections) {
  ClientOptions options;
  options.idle_timeout = absl::Milliseconds(20);
  Make(std::move(options));
  RawListener listener;
  std::future<Result> result = Ask(To(listener.port()));
  auto upstream = listener.Accept();
  upstream->ReadMessage();
  upstream->Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  ASSERT_THAT(result.get(), IsOk());
  EXPECT_TRUE(upstream->AtEnd());
}

TEST_F(ClientTest, DestructionClosesIdleConnections) {
  Make();
  RawListener listener;
  std::future<Result> result = Ask(To(listener.port()));
  auto upstream = listener.Accept();
  upstream->ReadMessage();
  upstream->Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  ASSERT_THAT(result.get(), IsOk());
  client_.reset();
  EXPECT_TRUE(upstream->AtEnd());
}

TEST_F(ClientTest, RefusesRequestsThatWouldBecomeAnother) {
  Make();
  std::vector<ClientRequest> requests;
  for (int i = 0; i < 5; ++i) requests.push_back(To(1));
  requests[0].method = "GET /x HTTP/1.1\r\n";
  requests[1].headers.Add("X", "a\r\nY: b");
  requests[2].headers.Add("X y", "a");
  requests[3].url.target = "/a b";
  requests[4].url.host = "a\r\nb";
  for (ClientRequest& request : requests) {
    EXPECT_THAT(Ask(std::move(request)).get(),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST_F(ClientTest, CountsRequestsByOutcome) {
  Make();
  Start(Echo);
  ASSERT_THAT(Ask(To(server_->port())).get(), IsOk());
  EXPECT_THAT(Ask(To(1)).get(), Not(IsOk()));
  EXPECT_THAT(
      metrics_.Expose(),
      AllOf(
          HasSubstr(R"(client_requests_total{client="upstream",code="200"} 1)"),
          HasSubstr(
              R"(client_requests_total{client="upstream",code="UNAVAILABLE"} 1)"),
          HasSubstr(R"(client_request_seconds_count{client="upstream"} 2)")));
}

asio::awaitable<Response> Relay(Client* client, ClientRequest request,
                                absl::Time deadline) {
  Result result = co_await client->Send(std::move(request), deadline);
  if (!result.ok()) co_return TextResponse(502, result.status().message());
  co_return *std::move(result);
}

TEST_F(ClientTest, ServesManyRequestsThroughARelay) {
  ClientOptions options;
  options.max_connections_per_host = 3;
  Make(std::move(options));
  Start(Echo);
  const int port = server_->port();
  ServerOptions relay_options;
  relay_options.name = "relay";
  auto relay = Server::Start(
      std::move(relay_options), pool_.get_executor(),
      [this, port](Request request) {
        ClientRequest onward = To(port);
        onward.method = request.method;
        onward.url.target = request.target;
        onward.body = std::string(request.body.view());
        return Relay(client_.get(), std::move(onward), request.deadline);
      },
      &metrics_);
  ASSERT_THAT(relay, IsOk());
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&relay, c] {
      RawSocket socket((*relay)->port());
      for (int i = 0; i < 100; ++i) {
        const std::string target = absl::StrCat("/", c, "/", i);
        socket.Send(Get(target));
        EXPECT_EQ(BodyOf(socket.ReadMessage()), "GET " + target + " \n");
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_LE(Connections(), 3);
  relay->reset();
}

TEST_F(ClientTest, ALeavingClientOfARelayCancelsTheOnwardRequest) {
  Make();
  RawListener upstream;
  Start([this, &upstream](Request request) {
    return Relay(client_.get(), To(upstream.port()), request.deadline);
  });
  RawSocket socket(server_->port());
  socket.Send(Get("/"));
  auto onward = upstream.Accept();
  onward->ReadMessage();
  socket.Close();
  EXPECT_TRUE(onward->AtEnd());
}

}  // namespace
}  // namespace insula::http
