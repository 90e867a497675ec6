// What a client does on its way out: refused addresses, proxies, credentials.
#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/http/authorizer.h"
#include "libs/http/client.h"
#include "libs/http/client_fixture.h"
#include "libs/http/networks.h"
#include "libs/http/proxy.h"
#include "libs/http/test_support.h"
#include "libs/status/status_matchers.h"

namespace insula::http {
namespace {

namespace asio = boost::asio;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class ClientOutboundTest : public ClientFixture {
 protected:
  ClientRequest ToUrl(absl::string_view url) {
    ClientRequest request;
    request.url = Url::Parse(url).value();
    return request;
  }

  // A client that asks for everything through the proxy at `port`.
  void MakeBehindProxy(int port, absl::string_view user = "") {
    ProxyRules::Settings settings;
    settings.http_proxy = absl::StrCat("http://", user, "127.0.0.1:", port);
    settings.https_proxy = settings.http_proxy;
    ClientOptions options;
    options.proxy = ProxyRules::Make(settings).value();
    Make(std::move(options));
  }
};

TEST_F(ClientOutboundTest, LinkLocalAndMetadataAddressesAreRefused) {
  Make();
  for (const char* url :
       {"http://169.254.169.254/latest/meta-data/", "https://169.254.0.1/",
        "http://[fe80::1]/", "http://[fd00:ec2::254]/",
        "http://[::ffff:169.254.169.254]/", "http://100.100.100.200/"}) {
    EXPECT_THAT(Ask(ToUrl(url)).get(),
                StatusIs(absl::StatusCode::kPermissionDenied,
                         HasSubstr("which this service must not connect to")))
        << url;
  }
}

TEST_F(ClientOutboundTest, ANameThatLeadsToARefusedAddressIsRefused) {
  ClientOptions options;
  options.refused_networks = Networks::Parse({"127.0.0.0/8", "::1"}).value();
  Make(std::move(options));
  RawListener listener;
  EXPECT_THAT(
      Ask(ToUrl(absl::StrCat("http://localhost:", listener.port(), "/"))).get(),
      StatusIs(absl::StatusCode::kPermissionDenied,
               AllOf(HasSubstr("localhost"), HasSubstr("has the address"))));
  EXPECT_EQ(Connections(), 0);
}

TEST_F(ClientOutboundTest, AnAdminMayAllowThem) {
  ClientOptions options;
  options.refused_networks = Networks();
  Make(std::move(options));
  // Nobody is there, but it is tried.
  EXPECT_THAT(
      Ask(ToUrl("http://169.254.254.254:1/"), absl::Milliseconds(200)).get(),
      Not(StatusIs(absl::StatusCode::kPermissionDenied)));
}

TEST_F(ClientOutboundTest, APlainRequestGoesToTheProxyAsItIs) {
  RawListener proxy;
  MakeBehindProxy(proxy.port(), "user:pass@");
  std::future<Result> result = Ask(ToUrl("http://store.invalid:8080/a?b=c"));
  auto at_proxy = proxy.Accept();
  EXPECT_EQ(at_proxy->ReadMessage(),
            "GET http://store.invalid:8080/a?b=c HTTP/1.1\r\n"
            "Host: store.invalid:8080\r\n"
            "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n"
            "Accept-Encoding: gzip\r\n\r\n");
  at_proxy->Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  const Result response = result.get();
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->body, "ok");
}

TEST_F(ClientOutboundTest, AnEncryptedRequestGoesThroughATunnel) {
  RawListener proxy;
  MakeBehindProxy(proxy.port(), "user:pass@");
  std::future<Result> result = Ask(ToUrl("https://store.invalid/secret"));
  auto at_proxy = proxy.Accept();
  EXPECT_EQ(at_proxy->ReadMessage(),
            "CONNECT store.invalid:443 HTTP/1.1\r\n"
            "Host: store.invalid:443\r\n"
            "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n");
  at_proxy->Send("HTTP/1.1 200 Connection established\r\n\r\n");
  // A TLS record: a ClientHello that names the host.
  EXPECT_THAT(at_proxy->ReadThrough("store.invalid"),
              AllOf(HasSubstr("\x16\x03"), Not(HasSubstr("secret"))));
  at_proxy.reset();
  EXPECT_THAT(result.get(), StatusIs(absl::StatusCode::kUnavailable,
                                     HasSubstr("TLS handshake failed")));
}

TEST_F(ClientOutboundTest, ATunnelThatIsRefusedIsNamed) {
  for (const auto& [answer, expected] :
       {std::pair<const char*, const char*>{
            "HTTP/1.1 407 Who\r\nContent-Length: 3\r\n\r\nno\n",
            "answered 407 to CONNECT: put user and password"},
        {"HTTP/1.1 403 No\r\n\r\n", "answered 403 to CONNECT"},
        {"HTTP/1.1 200 OK\r\n\r\nsurprise", "has bytes behind it"},
        {"HTTP/1.1 200 OK\r\n", "ended too early"},
        {"nonsense\r\n\r\n", "the proxy's answer"}}) {
    RawListener proxy;
    MakeBehindProxy(proxy.port());
    std::future<Result> result = Ask(ToUrl("https://store.invalid/"));
    auto at_proxy = proxy.Accept();
    at_proxy->ReadMessage();
    at_proxy->Send(answer);
    at_proxy.reset();
    EXPECT_THAT(result.get(),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr(expected)))
        << answer;
  }
}

TEST_F(ClientOutboundTest, AnEndlessAnswerOfAProxyIsCutOff) {
  RawListener proxy;
  MakeBehindProxy(proxy.port());
  std::future<Result> result = Ask(ToUrl("https://store.invalid/"));
  auto at_proxy = proxy.Accept();
  at_proxy->ReadMessage();
  at_proxy->Send(absl::StrCat(
      "HTTP/1.1 200 OK\r\nX: ", std::string(64 << 10, 'x'), "\r\n"));
  EXPECT_THAT(result.get(), StatusIs(absl::StatusCode::kUnavailable,
                                     HasSubstr("the proxy's answer")));
}

TEST_F(ClientOutboundTest, AProxyIsNoWayToARefusedAddress) {
  RawListener proxy;
  MakeBehindProxy(proxy.port());
  for (const char* url : {"http://169.254.169.254/", "https://169.254.169.254/",
                          "http://2852039166/", "http://[::ffff:a9fe:a9fe]/",
                          "http://metadata.google.internal/"}) {
    EXPECT_THAT(Ask(ToUrl(url)).get(),
                StatusIs(absl::StatusCode::kPermissionDenied,
                         HasSubstr("which this service must not connect to")))
        << url;
  }
}

TEST_F(ClientOutboundTest, RedirectsAreNotFollowed) {
  Make();
  const Result result = Interpret(
      "HTTP/1.1 307 Elsewhere\r\nLocation: http://169.254.169.254/\r\n"
      "Content-Length: 0\r\n\r\n");
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->status, 307);
}

// Shows "n" the nth time.
class CountingAuthorizer final : public Authorizer {
 public:
  bool Covers(const ClientRequest&) const override { return true; }
  asio::awaitable<absl::Status> Authorize(ClientRequest* request,
                                          absl::Time) override {
    ++authorized;
    if (broken) co_return absl::UnavailableError("no credential today");
    // Nothing of the first try may be left.
    request->headers.Add("Authorization", absl::StrCat(authorized.load()));
    co_return absl::OkStatus();
  }
  asio::awaitable<bool> Renew(const ClientRequest* request,
                              absl::Time) override {
    ++renewed;
    last_refused = std::string(*request->headers.Get("Authorization"));
    co_return may_renew;
  }

  bool broken = false;
  bool may_renew = true;
  std::atomic<int> authorized{0};
  std::atomic<int> renewed{0};
  std::string last_refused;
};

class ClientAuthorizerTest : public ClientOutboundTest {
 protected:
  // A server that lets in whoever shows `wanted`.
  void StartFor(std::string wanted) {
    Start([this, wanted](Request request) -> asio::awaitable<Response> {
      return Answer(std::move(request), wanted);
    });
    ClientOptions options;
    options.authorizer = authorizer_;
    Make(std::move(options));
  }

  asio::awaitable<Response> Answer(Request request, std::string wanted) {
    ++asked_;
    EXPECT_EQ(request.headers.Count("Authorization"), 1);
    const bool welcome = request.headers.Get("Authorization") == wanted;
    co_return TextResponse(welcome ? 200 : 401, request.body.view());
  }

  std::shared_ptr<CountingAuthorizer> authorizer_ =
      std::make_shared<CountingAuthorizer>();
  std::atomic<int> asked_{0};
};

TEST_F(ClientAuthorizerTest,
       ARefusedCredentialIsRenewedAndTheRequestSentAgain) {
  StartFor("2");
  ClientRequest request = To(server_->port());
  request.method = "POST";
  request.body = "all of it";
  const Result result = Ask(std::move(request)).get();
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->status, 200);
  EXPECT_EQ(result->body, "all of it\n");
  EXPECT_EQ(authorizer_->last_refused, "1");
}

TEST_F(ClientAuthorizerTest, ItIsSentAgainOnceOnly) {
  StartFor("never");
  EXPECT_EQ(Ask(To(server_->port())).get().value().status, 401);
  EXPECT_EQ(asked_, 2);
  EXPECT_EQ(authorizer_->renewed, 1);
}

TEST_F(ClientAuthorizerTest, ItIsNotSentAgainIfThereIsNothingElseToShow) {
  authorizer_->may_renew = false;
  StartFor("never");
  EXPECT_EQ(Ask(To(server_->port())).get().value().status, 401);
  EXPECT_EQ(asked_, 1);
}

TEST_F(ClientAuthorizerTest, NothingIsSentWithoutTheCredential) {
  authorizer_->broken = true;
  StartFor("1");
  EXPECT_THAT(Ask(To(server_->port())).get(),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("no credential today"),
                             HasSubstr("127.0.0.1"))));
  EXPECT_EQ(asked_, 0);
  EXPECT_EQ(Connections(), 0);
}

}  // namespace
}  // namespace insula::http
