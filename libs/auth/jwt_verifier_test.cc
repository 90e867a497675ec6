#include "libs/auth/jwt_verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/auth/jwt_signer.h"
#include "libs/http/message.h"
#include "libs/http/proxy.h"
#include "libs/http/server.h"
#include "libs/metrics/metrics.h"
#include "libs/status/status_matchers.h"
#include "libs/sync/mutex.h"

namespace insula::auth {
namespace {

namespace asio = boost::asio;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsNull;
using ::testing::Not;
using ::testing::NotNull;
using enum absl::StatusCode;
using enum JwtAlgorithm;

class FakeClock final : public Clock {
 public:
  explicit FakeClock(int64_t seconds) : seconds_(seconds) {}
  absl::Time Now() const override {
    return absl::FromUnixSeconds(seconds_.load());
  }
  void Advance(absl::Duration by) { seconds_ += absl::ToInt64Seconds(by); }

 private:
  std::atomic<int64_t> seconds_;
};

constexpr int64_t kNow = 1'800'000'000;

// A verifier, and an issuer that it knows.
class JwtVerifierTest : public testing::Test {
 protected:
  void SetUp() override {
    http::ServerOptions options;
    options.name = "issuer";
    auto server = http::Server::Start(
        std::move(options), pool_.get_executor(),
        [this](http::Request request) {
          return Answer(std::string(request.target));
        },
        &metrics_);
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
    config_.issuer = absl::StrCat("http://127.0.0.1:", server_->port());
    config_.allow_loopback_http = true;
    config_.audiences = {"insula"};
    config_.claims = {"sub", "groups", "realm_access.roles"};
    SetKeys(absl::StrCat(R"({"keys":[)", key_.PublicJwk("one"), "]}"));
  }
  ~JwtVerifierTest() override {
    verifier_.reset();
    server_.reset();
  }

  asio::awaitable<http::Response> Answer(std::string target) {
    const sync::MutexLock lock(&mutex_);
    if (target == "/keys") co_return http::TextResponse(status_, keys_);
    if (target == "/.well-known/openid-configuration") {
      co_return http::TextResponse(
          200, absl::StrCat(R"({"issuer":")", config_.issuer,
                            R"(","jwks_uri":")", config_.issuer, "/keys\"}"));
    }
    co_return http::TextResponse(404, "");
  }

  void SetKeys(std::string keys, int status = 200) {
    const sync::MutexLock lock(&mutex_);
    keys_ = std::move(keys);
    status_ = status;
  }

  void Make() {
    auto made = JwtVerifier::Make({config_}, pool_.get_executor(), &clock_,
                                  &steady_, &metrics_, http::ProxyRules());
    ASSERT_THAT(made, IsOk());
    verifier_ = *std::move(made);
  }

  // A token of the issuer for Ann, with these claims as well.
  std::string Token(absl::string_view more = "",
                    absl::string_view kid = "one") const {
    return Signed(key_,
                  absl::StrCat(R"({"iss":")", config_.issuer,
                               R"(","aud":"insula","sub":"ann","iat":)",
                               kNow - 10, ",\"exp\":", kNow + 300, more, "}"),
                  kid);
  }
  static std::string Signed(const SigningKey& key, absl::string_view claims,
                            absl::string_view kid = "one") {
    return key.Token(
        kEs256, absl::StrCat(R"({"alg":"ES256","kid":")", kid, "\"}"), claims);
  }

  static Credential CredentialOf(const std::string& token) {
    Credential credential;
    credential.scheme = "bearer";
    credential.text = token;
    return credential;
  }
  absl::StatusOr<Principal> Verify(const std::string& token) {
    if (verifier_ == nullptr) Make();
    return asio::co_spawn(asio::make_strand(pool_.get_executor()),
                          verifier_->Verify(CredentialOf(token)),
                          asio::use_future)
        .get();
  }

  const SigningKey key_ = SigningKey::Ec();
  const SigningKey other_ = SigningKey::Ec();
  FakeClock clock_{kNow};
  FakeClock steady_{1'000'000};
  metrics::Registry metrics_;
  asio::thread_pool pool_{2};
  std::unique_ptr<http::Server> server_;
  JwtIssuerConfig config_;
  std::shared_ptr<JwtVerifier> verifier_;

  sync::Mutex mutex_;
  std::string keys_;
  int status_ = 200;
};

TEST_F(JwtVerifierTest, SaysWhoItIs) {
  const auto principal = Verify(Token(
      R"(,"groups":["a","b"],"realm_access":{"roles":["reader"]},"other":"x")"));
  ASSERT_THAT(principal, IsOk());
  EXPECT_EQ(principal->method, "jwt");
  EXPECT_EQ(principal->issuer, config_.issuer);
  EXPECT_EQ(principal->name, "ann");
  ASSERT_THAT(principal->Find("sub"), NotNull());
  EXPECT_THAT(*principal->Find("sub"), ElementsAre("ann"));
  ASSERT_THAT(principal->Find("groups"), NotNull());
  EXPECT_THAT(*principal->Find("groups"), ElementsAre("a", "b"));
  ASSERT_THAT(principal->Find("realm_access.roles"), NotNull());
  EXPECT_THAT(*principal->Find("realm_access.roles"), ElementsAre("reader"));
  EXPECT_THAT(principal->Find("other"), IsNull());
  EXPECT_EQ(principal->expires,
            absl::FromUnixSeconds(kNow + 300) + config_.leeway);
}

TEST_F(JwtVerifierTest, RefusesWhatTheIssuerDidNotSayOfUs) {
  const auto claims = [this](absl::string_view issuer, absl::string_view aud,
                             int64_t exp) {
    return absl::StrCat(R"({"iss":")", issuer, R"(","aud":")", aud,
                        R"(","sub":"ann","iat":)", kNow - 600, ",\"exp\":", exp,
                        "}");
  };
  const std::string good = claims(config_.issuer, "insula", kNow + 300);
  ASSERT_THAT(Verify(Signed(key_, good)), IsOk());
  const std::string forged[] = {
      Signed(other_, good),       // another key
      Signed(key_, good, "two"),  // unknown kid
      Signed(key_, claims("https://other", "insula", kNow + 300)),
      Signed(key_, claims(config_.issuer, "other", kNow + 300)),
      Signed(key_, claims(config_.issuer, "insula", kNow - 61)),  // expired
      Signed(key_, good) + "A",
      "gAAAAABopaque",
      "a.b.c",
      key_.Token(kEs256, R"({"alg":"none"})", good),
      key_.Token(kEs256, R"({"alg":"RS256","kid":"one"})", good),
  };
  for (const std::string& token : forged) {
    EXPECT_THAT(Verify(token),
                StatusIs(kUnauthenticated, Not(HasSubstr(token))));
  }
  EXPECT_THAT(metrics_.Expose(),
              AllOf(HasSubstr("insula_auth_verifications_total{method=\"jwt\","
                              "result=\"wrong\"} 10\n"),
                    HasSubstr("insula_auth_verifications_total{method=\"jwt\","
                              "result=\"ok\"} 1\n")));
}

TEST_F(JwtVerifierTest, OnlyAlgorithmsOfTheIssuerCount) {
  config_.algorithms = {"RS256"};
  EXPECT_THAT(Verify(Token()), StatusIs(kUnauthenticated));
}

TEST_F(JwtVerifierTest, IsNotAvailableWhileTheKeysAreNot) {
  SetKeys("", 503);
  EXPECT_THAT(Verify(Token()), StatusIs(kUnavailable));
  EXPECT_THAT(metrics_.Expose(),
              HasSubstr("insula_auth_verifications_total{method=\"jwt\","
                        "result=\"unavailable\"} 1\n"));
}

TEST_F(JwtVerifierTest, AVerifiedTokenIsKnownForAMinute) {
  Make();
  const std::string token = Token();
  EXPECT_FALSE(verifier_->Known(CredentialOf(token)).has_value());
  ASSERT_THAT(Verify(token), IsOk());
  const auto known = verifier_->Known(CredentialOf(token));
  ASSERT_TRUE(known.has_value());
  ASSERT_THAT(*known, IsOk());
  EXPECT_EQ((*known)->name, "ann");
  EXPECT_FALSE(verifier_->Known(CredentialOf(token + "A")).has_value());

  // Its key is withdrawn, and is refused as soon as the memory is.
  SetKeys(absl::StrCat(R"({"keys":[)", other_.PublicJwk("two"), "]}"));
  steady_.Advance(absl::Seconds(59));
  EXPECT_THAT(Verify(token), IsOk());
  steady_.Advance(absl::Seconds(1));
  EXPECT_FALSE(verifier_->Known(CredentialOf(token)).has_value());
  // The token of the new key makes the verifier fetch it.
  ASSERT_THAT(Verify(Signed(other_,
                            absl::StrCat(R"({"iss":")", config_.issuer,
                                         R"(","aud":"insula","sub":"bob",)",
                                         "\"exp\":", kNow + 300, "}"),
                            "two")),
              IsOk());
  EXPECT_THAT(Verify(token), StatusIs(kUnauthenticated));
}

TEST_F(JwtVerifierTest, AKnownTokenExpiresAllTheSame) {
  const std::string token = Token();
  ASSERT_THAT(Verify(token), IsOk());
  clock_.Advance(absl::Seconds(300) + config_.leeway);
  EXPECT_FALSE(verifier_->Known(CredentialOf(token)).has_value());
  EXPECT_THAT(Verify(token), StatusIs(kUnauthenticated, HasSubstr("expired")));
}

TEST_F(JwtVerifierTest, RefusalsAreNotRemembered) {
  SetKeys(absl::StrCat(R"({"keys":[)", other_.PublicJwk("two"), "]}"));
  const std::string token = Token();
  EXPECT_THAT(Verify(token), StatusIs(kUnauthenticated));
  SetKeys(absl::StrCat(R"({"keys":[)", key_.PublicJwk("one"), "]}"));
  steady_.Advance(absl::Seconds(30));
  EXPECT_THAT(Verify(token), IsOk());
}

TEST_F(JwtVerifierTest, SeveralIssuersAreKnownByTheirNames) {
  JwtIssuerConfig second = config_;
  second.issuer = "https://127.0.0.1:1/unreachable";
  second.claims = {"email"};
  auto made =
      JwtVerifier::Make({second, config_}, pool_.get_executor(), &clock_,
                        &steady_, &metrics_, http::ProxyRules());
  ASSERT_THAT(made, IsOk());
  verifier_ = *std::move(made);
  // That one can't be reached does not concern the tokens of the other.
  const auto principal = Verify(Token());
  ASSERT_THAT(principal, IsOk());
  EXPECT_THAT(principal->Find("sub"), NotNull());
  EXPECT_THAT(Verify(Signed(key_, R"({"iss":"https://third","aud":"insula"})")),
              StatusIs(kUnauthenticated, HasSubstr("does not know")));
}

TEST_F(JwtVerifierTest, TakesNoIssuerThatIsNone) {
  config_.audiences.clear();
  EXPECT_THAT(JwtVerifier::Make({config_}, pool_.get_executor(), &clock_,
                                &steady_, &metrics_, http::ProxyRules()),
              StatusIs(kInvalidArgument, HasSubstr("audiences")));
}

TEST_F(JwtVerifierTest, MayEndWhileItFetches) {
  for (int i = 0; i < 20; ++i) {
    Make();
    verifier_.reset();
  }
}

}  // namespace
}  // namespace insula::auth
