#include "libs/auth/keystone.h"

#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/auth/fake_keystone.h"
#include "libs/auth/keystone_api.h"
#include "libs/files/replace_file.h"
#include "libs/metrics/metrics.h"
#include "libs/secret/secret.h"
#include "libs/status/status_matchers.h"
#include "libs/time/fake_clock.h"

namespace insula::auth {
namespace {

namespace asio = boost::asio;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Optional;
using ::testing::Pointee;
using enum absl::StatusCode;
using Result = absl::StatusOr<Principal>;

class KeystoneTest : public testing::Test {
 protected:
  KeystoneTest() {
    dir_ = std::filesystem::temp_directory_path() / "insula-keystone.XXXXXX";
    EXPECT_NE(mkdtemp(dir_.data()), nullptr);
    EXPECT_THAT(files::ReplaceFile(dir_ + "/password", "s3cret\n"), IsOk());
    // Past the moment for which a new file counts as being written.
    std::filesystem::last_write_time(
        dir_ + "/password",
        std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
    options_.url = keystone_.url();
    options_.allow_loopback_http = true;
    options_.user_name = "insula";
    options_.project_name = "service";
    options_.password_file = dir_ + "/password";
  }
  ~KeystoneTest() override {
    verifier_.reset();
    keystone_.Stop();
    pool_.join();
    std::filesystem::remove_all(dir_);
  }

  void Make() {
    KeystoneVerifier::Environment environment;
    environment.executor = pool_.get_executor();
    environment.clock = &clock_;
    environment.steady = &steady_;
    environment.metrics = &metrics_;
    auto verifier = KeystoneVerifier::Make(options_, environment);
    ASSERT_THAT(verifier, IsOk());
    verifier_ = *std::move(verifier);
  }

  std::future<Result> Ask(std::string token, std::string address = "10.0.0.1") {
    if (verifier_ == nullptr) Make();
    Credential credential;
    credential.scheme = "token";
    credential.text = std::move(token);
    credential.peer_address = std::move(address);
    return asio::co_spawn(asio::make_strand(pool_.get_executor()),
                          verifier_->Verify(std::move(credential)),
                          asio::use_future);
  }
  Result Verify(const std::string& token) { return Ask(token).get(); }

  double Checks(const char* result) {
    return metrics_
        .AddCounter("insula_auth_verifications_total",
                    "Credentials that a verifier was asked about, by outcome.",
                    {{"method", "keystone"}, {"result", result}})
        .Value();
  }

  std::string dir_;
  FakeClock clock_{absl::Now()};
  FakeClock steady_;
  metrics::Registry metrics_;
  asio::thread_pool pool_{2};
  FakeKeystone keystone_{pool_.get_executor(), &metrics_};
  KeystoneOptions options_;
  std::unique_ptr<KeystoneVerifier> verifier_;
};

TEST_F(KeystoneTest, ATokenIsItsUserInItsProject) {
  FakeKeystone::Token token;
  token.expires = absl::Now() + absl::Minutes(10);
  const Result principal = Verify(keystone_.Issue(token));
  ASSERT_THAT(principal, IsOk());
  EXPECT_THAT(principal->method, Eq("keystone"));
  EXPECT_THAT(principal->issuer, Eq(keystone_.url()));
  EXPECT_THAT(principal->name, Eq("alice-id"));
  EXPECT_THAT(principal->Find("user_name"), Pointee(ElementsAre("alice")));
  EXPECT_THAT(principal->Find("user_domain_id"),
              Pointee(ElementsAre("default")));
  EXPECT_THAT(principal->Find("project_id"), Pointee(ElementsAre("red-id")));
  EXPECT_THAT(principal->Find("project_name"), Pointee(ElementsAre("red")));
  EXPECT_THAT(principal->Find("project_domain_id"),
              Pointee(ElementsAre("default")));
  EXPECT_THAT(principal->Find("roles"),
              Pointee(ElementsAre("member", "reader")));
  EXPECT_LT(absl::AbsDuration(principal->expires - token.expires),
            absl::Milliseconds(1));
}

TEST_F(KeystoneTest, AsksWithATokenOfItsOwn) {
  const std::string token = keystone_.Issue({});
  EXPECT_THAT(Verify(token), IsOk());
  const http::Headers headers = keystone_.last_validation();
  EXPECT_THAT(headers.Get("X-Subject-Token"), Optional(Eq(token)));
  EXPECT_THAT(headers.Get("X-Auth-Token"), Not(Optional(Eq(token))));
  EXPECT_THAT(
      keystone_.last_login(),
      Eq(R"({"auth":{"identity":{"methods":["password"],"password":{"user":)"
         R"({"domain":{"name":"Default"},"name":"insula","password":"s3cret"}}})"
         R"(,"scope":{"project":{"domain":{"name":"Default"},)"
         R"("name":"service"}}}})"));
  EXPECT_THAT(Verify(keystone_.Issue({})), IsOk());
  EXPECT_THAT(keystone_.counts().logins, Eq(1));
}

TEST_F(KeystoneTest, WhatKeystoneDoesNotKnowIsWrong) {
  EXPECT_THAT(Verify("nonsense"),
              StatusIs(kUnauthenticated, HasSubstr("does not know")));
  FakeKeystone::Token old;
  old.expires = absl::Now() - absl::Seconds(1);
  EXPECT_THAT(Verify(keystone_.Issue(old)), StatusIs(kUnauthenticated));
  FakeKeystone::Token ruled;
  ruled.has_access_rules = true;
  EXPECT_THAT(Verify(keystone_.Issue(ruled)), StatusIs(kUnauthenticated));
  EXPECT_THAT(Checks("wrong"), Eq(3));
}

TEST_F(KeystoneTest, WhatIsNoTokenIsNotAskedFor) {
  for (const std::string& text :
       {std::string(), std::string("a b"), std::string("a\r\nX-Auth-Token: b"),
        std::string(8193, 'a')}) {
    EXPECT_THAT(Verify(text), StatusIs(kUnauthenticated));
  }
  EXPECT_THAT(keystone_.counts().validations, Eq(0));
  EXPECT_THAT(keystone_.counts().logins, Eq(0));
}

TEST_F(KeystoneTest, ATokenWithoutAProjectIsNotLetIn) {
  FakeKeystone::Token unscoped;
  unscoped.project = "";
  EXPECT_THAT(Verify(keystone_.Issue(unscoped)),
              StatusIs(kPermissionDenied, HasSubstr("of no project")));
  FakeKeystone::Token domain;
  domain.of_domain = true;
  EXPECT_THAT(Verify(keystone_.Issue(domain)), StatusIs(kPermissionDenied));
  EXPECT_THAT(Checks("refused"), Eq(2));
}

TEST_F(KeystoneTest, ATokenNeedsOneOfTheAcceptedRoles) {
  options_.accepted_roles = {"admin", "reader"};
  EXPECT_THAT(Verify(keystone_.Issue({})), IsOk());
  FakeKeystone::Token other;
  other.roles = {"load-balancer_member"};
  EXPECT_THAT(Verify(keystone_.Issue(other)),
              StatusIs(kPermissionDenied, HasSubstr("roles admin, reader")));
}

TEST_F(KeystoneTest, IsAskedAgainWhenTheIntervalIsOver) {
  const std::string token = keystone_.Issue({});
  for (int i = 0; i < 5; ++i) EXPECT_THAT(Verify(token), IsOk());
  EXPECT_THAT(keystone_.counts().validations, Eq(1));
  EXPECT_THAT(Checks("cached"), Eq(4));

  keystone_.Revoke(token);
  steady_.Advance(absl::Seconds(29));
  EXPECT_THAT(Verify(token), IsOk());
  steady_.Advance(absl::Seconds(1));
  EXPECT_THAT(Verify(token), StatusIs(kUnauthenticated));
  EXPECT_THAT(keystone_.counts().validations, Eq(2));
}

TEST_F(KeystoneTest, WhatIsKnownNeedsNoWait) {
  Credential credential;
  credential.scheme = "token";
  credential.text = keystone_.Issue({});
  Make();
  EXPECT_FALSE(verifier_->Known(credential).has_value());
  EXPECT_THAT(Verify(credential.text), IsOk());
  ASSERT_TRUE(verifier_->Known(credential).has_value());
  EXPECT_THAT(*verifier_->Known(credential), IsOk());
  credential.scheme = "basic";
  EXPECT_FALSE(verifier_->Known(credential).has_value());
  credential.scheme = "bearer";
  steady_.Advance(options_.recheck_interval);
  EXPECT_FALSE(verifier_->Known(credential).has_value());
}

TEST_F(KeystoneTest, NoTokenOutlivesItsEndInTheCache) {
  options_.recheck_interval = absl::Minutes(5);
  FakeKeystone::Token token;
  token.expires = absl::Now() + absl::Hours(1);
  const std::string text = keystone_.Issue(token);
  EXPECT_THAT(Verify(text), IsOk());
  clock_.Advance(absl::Hours(1) - absl::Minutes(1));
  EXPECT_THAT(Verify(text), IsOk());
  EXPECT_THAT(keystone_.counts().validations, Eq(1));
  clock_.Advance(absl::Minutes(2));
  EXPECT_THAT(Verify(text), StatusIs(kUnauthenticated, HasSubstr("expired")));
}

TEST_F(KeystoneTest, TokensThatBeginAlikeAreDifferentOnes) {
  const std::string token = keystone_.Issue({});
  EXPECT_THAT(Verify(token), IsOk());
  EXPECT_THAT(Verify(token + "x"), StatusIs(kUnauthenticated));
  EXPECT_THAT(Verify(token.substr(0, token.size() - 1)),
              StatusIs(kUnauthenticated));
}

TEST_F(KeystoneTest, AWrongTokenIsWrongForAWhile) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(Verify("nonsense"), StatusIs(kUnauthenticated));
  }
  EXPECT_THAT(keystone_.counts().validations, Eq(1));
  steady_.Advance(absl::Seconds(5));
  EXPECT_THAT(Verify("nonsense"), StatusIs(kUnauthenticated));
  EXPECT_THAT(keystone_.counts().validations, Eq(2));
}

TEST_F(KeystoneTest, WhoTriesManyTokensIsHeldUpAndNobodyElse) {
  options_.source_failures = {.per_second = 1, .burst = 3, .max_keys = 10};
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Verify(absl::StrCat("guess", i)), StatusIs(kUnauthenticated));
  }
  EXPECT_THAT(Verify("guess3"),
              StatusIs(kResourceExhausted, HasSubstr("this address")));
  EXPECT_THAT(keystone_.counts().validations, Eq(3));
  EXPECT_THAT(Ask(keystone_.Issue({}), "10.0.0.2").get(), IsOk());
}

TEST_F(KeystoneTest, EqualTokensAtOneTimeAreAskedForOnce) {
  const std::string token = keystone_.Issue({});
  std::vector<std::future<Result>> all;
  for (int i = 0; i < 100; ++i) all.push_back(Ask(token));
  for (auto& one : all) EXPECT_THAT(one.get(), IsOk());
  EXPECT_THAT(keystone_.counts().validations, Eq(1));
  EXPECT_THAT(keystone_.counts().logins, Eq(1));
}

TEST_F(KeystoneTest, DownMeansThatItCantBeSaid) {
  const std::string token = keystone_.Issue({});
  const std::string other = keystone_.Issue({});
  EXPECT_THAT(Verify(token), IsOk());
  keystone_.Stop();
  EXPECT_THAT(Verify(other), StatusIs(kUnavailable, HasSubstr("Keystone")));
  // What it said holds for as long as it would have, and no longer.
  EXPECT_THAT(Verify(token), IsOk());
  steady_.Advance(options_.recheck_interval);
  EXPECT_THAT(Verify(token), StatusIs(kUnavailable));
}

TEST_F(KeystoneTest, AnAnswerThatMakesNoSenseLetsNobodyIn) {
  const std::string token = keystone_.Issue({});
  const auto answer = [](int status, std::string body) {
    http::Response response;
    response.status = status;
    response.body = std::move(body);
    return response;
  };
  for (const http::Response& response : {
           answer(500, ""),
           answer(503, ""),
           answer(302, ""),
           answer(429, ""),
           answer(200, ""),
           answer(200, "{}"),
           answer(200, R"({"token":[]})"),
           answer(200, R"({"token":{"expires_at":"soon"}})"),
           answer(200, R"({"token":{"expires_at":"2999-01-01T00:00:00Z"}})"),
           answer(200, std::string(100, '[')),
           // Two users: which one is it?
           answer(200, R"({"token":{"expires_at":"2999-01-01T00:00:00Z",)"
                       R"("user":{"id":"a","name":"a","domain":{"id":"d"}},)"
                       R"("user":{"id":"b","name":"b","domain":{"id":"d"}}}})"),
           answer(204, R"({"token":{}})"),
       }) {
    keystone_.Answer(response);
    EXPECT_THAT(Verify(token), StatusIs(kUnavailable)) << response.body;
  }
  keystone_.Answer(std::nullopt);
  EXPECT_THAT(Verify(token), IsOk());  // Nothing of that was kept.
}

TEST_F(KeystoneTest, ItsOwnTokenIsReplacedWhenItIsRefused) {
  EXPECT_THAT(Verify(keystone_.Issue({})), IsOk());
  keystone_.RevokeOwn();
  EXPECT_THAT(Verify(keystone_.Issue({})), IsOk());
  EXPECT_THAT(keystone_.counts().logins, Eq(2));
}

TEST_F(KeystoneTest, ItsOwnTokenIsReplacedBeforeItEnds) {
  EXPECT_THAT(Verify(keystone_.Issue({})), IsOk());
  clock_.Advance(absl::Minutes(57));
  FakeKeystone::Token token;
  token.expires = absl::Now() + absl::Hours(3);
  EXPECT_THAT(Verify(keystone_.Issue(token)), IsOk());
  EXPECT_THAT(keystone_.counts().logins, Eq(1));
  clock_.Advance(absl::Minutes(2));
  EXPECT_THAT(Verify(keystone_.Issue(token)), IsOk());
  EXPECT_THAT(keystone_.counts().logins, Eq(2));
}

TEST_F(KeystoneTest, AWrongPasswordIsNotTriedAgainAtOnce) {
  keystone_.SetPassword("another");
  for (int i = 0; i < 5; ++i) {
    const Result result = Verify(keystone_.Issue({}));
    EXPECT_THAT(result, StatusIs(kUnavailable,
                                 AllOf(HasSubstr("password of user 'insula'"),
                                       HasSubstr(options_.password_file))));
    EXPECT_THAT(std::string(result.status().message()),
                Not(HasSubstr("s3cret")));
  }
  EXPECT_THAT(keystone_.counts().logins, Eq(1));
  keystone_.SetPassword("s3cret");
  steady_.Advance(options_.login_interval);
  EXPECT_THAT(Verify(keystone_.Issue({})), IsOk());
  EXPECT_THAT(keystone_.counts().logins, Eq(2));
  EXPECT_THAT(
      metrics_.Expose(),
      AllOf(HasSubstr("insula_auth_keystone_logins_total{result=\"ok\"} 1\n"),
            HasSubstr(
                "insula_auth_keystone_logins_total{result=\"failed\"} 1\n")));
}

TEST_F(KeystoneTest, AUserWhoMayNotValidateIsTheOperatorsToMend) {
  keystone_.SetMayValidate(false);
  EXPECT_THAT(Verify(keystone_.Issue({})),
              StatusIs(kUnavailable, HasSubstr("needs a role")));
  keystone_.SetMayValidate(true);
  EXPECT_THAT(Verify(keystone_.Issue({})), IsOk());
}

TEST_F(KeystoneTest, APasswordFileThatIsMissingIsNamed) {
  std::filesystem::remove(options_.password_file);
  EXPECT_THAT(Verify(keystone_.Issue({})),
              StatusIs(kUnavailable, HasSubstr(options_.password_file)));
  EXPECT_THAT(keystone_.counts().logins, Eq(0));
}

TEST_F(KeystoneTest, ChallengesWithTheUrlOfTheIdentityService) {
  Make();
  EXPECT_THAT(verifier_->Challenge(),
              Eq(absl::StrCat("Keystone uri=\"", keystone_.url(), "\"")));
}

TEST_F(KeystoneTest, AUrlWithItsVersionIsTheSame) {
  options_.url = keystone_.url() + "/v3/";
  EXPECT_THAT(Verify(keystone_.Issue({})), IsOk());
}

TEST_F(KeystoneTest, MayEndWhileItAsks) {
  for (int i = 0; i < 20; ++i) {
    Make();
    std::future<Result> result = Ask(keystone_.Issue({}));
    verifier_.reset();
    EXPECT_THAT(result.get(), IsOk());
  }
}

TEST(KeystoneLoginBodyTest, WithoutAProjectIsForTheSystem) {
  KeystoneLogin login;
  login.user_name = "insula";
  login.user_domain = "Default";
  const Secret password(std::string("a\"b"));
  EXPECT_THAT(KeystoneLoginBody(login, password),
              AllOf(HasSubstr(R"("scope":{"system":{"all":true}})"),
                    HasSubstr(R"("password":"a\"b")")));
}

TEST(KeystoneOptionsTest, SayWhatIsWrong) {
  KeystoneOptions good;
  good.url = "https://id.example:5000/v3";
  good.user_name = "insula";
  good.password_file = "/password";
  EXPECT_THAT(good.Validate(), IsOk());

  const auto wrong = [&good](auto change) {
    KeystoneOptions options = good;
    change(options);
    const absl::Status status = options.Validate();
    EXPECT_THAT(status, StatusIs(kInvalidArgument));
    return std::string(status.message());
  };
  EXPECT_THAT(wrong([](auto& o) { o.url = "http://id.example"; }),
              HasSubstr("url: "));
  EXPECT_THAT(wrong([](auto& o) { o.url = "http://127.0.0.1"; }),
              HasSubstr("https"));
  EXPECT_THAT(wrong([](auto& o) { o.url = "https://id.example?x"; }),
              HasSubstr("query"));
  EXPECT_THAT(wrong([](auto& o) { o.user_name = ""; }),
              HasSubstr("user_name: "));
  EXPECT_THAT(wrong([](auto& o) { o.password_file = ""; }),
              HasSubstr("password_file: "));
  EXPECT_THAT(wrong([](auto& o) { o.recheck_interval = absl::Hours(1); }),
              HasSubstr("recheck_interval: "));
  EXPECT_THAT(wrong([](auto& o) { o.max_checks = 0; }),
              HasSubstr("max_checks"));
}

}  // namespace
}  // namespace insula::auth
