#include "libs/outbound/token_source.h"

#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/outbound/credentials.h"
#include "libs/outbound/outbound_fixture.h"
#include "libs/status/status_matchers.h"

namespace insula::outbound {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::Eq;
using testing::HasSubstr;
using testing::Not;

http::Response Json(int status, std::string body) {
  http::Response response;
  response.status = status;
  response.headers.Set("Content-Type", "application/json");
  response.body = std::move(body);
  return response;
}

// A host behind a token endpoint, both of them real servers.
class TokenSourceTest : public OutboundFixture {
 protected:
  TokenSourceTest() {
    credential_.url = host_.Url();
    credential_.oauth2.token_url = endpoint_.Url("/token");
    credential_.oauth2.client_id = "insula";
    credential_.oauth2.client_secret_file = Write("secret", "s3cr:et");
  }

  // Gives out t1, t2, ..., or what a test says.
  http::Response GiveToken() {
    if (!answer_.empty()) return Json(status_, answer_);
    return Json(200, absl::StrCat(R"({"access_token":"t)", ++given_,
                                  R"(","token_type":"Bearer","expires_in":)",
                                  lifetime_, "}"));
  }
  http::Response Judge(const http::Request& request) const {
    const auto shown = request.headers.Get("Authorization");
    const bool welcome =
        shown == absl::StrCat("Bearer t", given_.load()) && given_ >= least_;
    return http::TextResponse(welcome ? 204 : 401, "");
  }

  std::atomic<int> given_{0};
  std::atomic<int> least_{0};  // Tokens before this one are void.
  int lifetime_ = 300;
  int status_ = 200;
  std::string answer_;
  FakeHost endpoint_{&pool_, &metrics_,
                     [this](const http::Request&) { return GiveToken(); }};
  FakeHost host_{&pool_, &metrics_, [this](const http::Request& request) {
                   return Judge(request);
                 }};
  CredentialConfig credential_;
};

TEST_F(TokenSourceTest, ATokenIsFetchedOnceAndShown) {
  credential_.oauth2.scopes = {"read", "write"};
  credential_.oauth2.endpoint_params = {"audience=tele meter"};
  MakeClient({credential_});
  EXPECT_EQ(StatusAt(host_.Url("/a")), 204);
  EXPECT_EQ(StatusAt(host_.Url("/b")), 204);
  EXPECT_EQ(endpoint_.requests(), 1U);
  // insula:s3cr%3Aet
  EXPECT_THAT(endpoint_.Seen("Authorization"),
              ElementsAre("Basic aW5zdWxhOnMzY3IlM0FldA=="));
  EXPECT_EQ(endpoint_.last_body(),
            "grant_type=client_credentials&scope=read%20write&"
            "audience=tele%20meter");
}

TEST_F(TokenSourceTest, TheSecretMayGoIntoTheBody) {
  credential_.oauth2.secret_in_body = true;
  MakeClient({credential_});
  EXPECT_EQ(StatusAt(host_.Url()), 204);
  EXPECT_THAT(endpoint_.Seen("Authorization"), ElementsAre("-"));
  EXPECT_THAT(endpoint_.last_body(),
              HasSubstr("client_id=insula&client_secret=s3cr%3Aet"));
}

TEST_F(TokenSourceTest, AnotherOneIsFetchedShortlyBeforeItEnds) {
  MakeClient({credential_});
  EXPECT_EQ(StatusAt(host_.Url()), 204);
  steady_.Advance(absl::Seconds(269));
  EXPECT_EQ(StatusAt(host_.Url()), 204);
  EXPECT_EQ(given_, 1);
  steady_.Advance(absl::Seconds(2));
  EXPECT_EQ(StatusAt(host_.Url()), 204);
  EXPECT_EQ(given_, 2);
}

TEST_F(TokenSourceTest, AllWhoWaitShareOneRequest) {
  MakeClient({credential_});
  std::vector<std::future<absl::StatusOr<http::Response>>> answers;
  for (int i = 0; i < 50; ++i) answers.push_back(Ask(host_.Url()));
  for (auto& answer : answers) EXPECT_EQ(answer.get().value().status, 204);
  EXPECT_EQ(endpoint_.requests(), 1U);
}

TEST_F(TokenSourceTest, ARefusedTokenIsReplacedOnce) {
  MakeClient({credential_});
  EXPECT_EQ(StatusAt(host_.Url()), 204);
  least_ = 2;
  EXPECT_EQ(StatusAt(host_.Url()), 204);
  EXPECT_THAT(host_.Seen("Authorization"),
              ElementsAre("Bearer t1", "Bearer t1", "Bearer t2"));
}

TEST_F(TokenSourceTest, AHostThatRefusesAllDoesNotWearOutTheEndpoint) {
  least_ = 1'000'000;
  MakeClient({credential_});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(StatusAt(host_.Url()), 401);
  EXPECT_EQ(endpoint_.requests(), 2U);
  steady_.Advance(TokenSource::kRenewInterval);
  StatusAt(host_.Url());
  EXPECT_EQ(endpoint_.requests(), 3U);
}

TEST_F(TokenSourceTest, WithoutATokenNothingIsSent) {
  status_ = 401;
  answer_ = R"({"error":"invalid_client","error_description":"canary"})";
  MakeClient({credential_});
  EXPECT_THAT(
      Ask(host_.Url()).get(),
      StatusIs(absl::StatusCode::kUnavailable,
               AllOf(HasSubstr("not sent"), HasSubstr(endpoint_.Url("/token")),
                     HasSubstr("answered 401 invalid_client"),
                     Not(HasSubstr("canary")), Not(HasSubstr("s3cr")))));
  EXPECT_EQ(host_.requests(), 0U);

  // It is not asked at each request while it fails.
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(Ask(host_.Url()).get(), StatusIs(absl::StatusCode::kUnavailable,
                                                 HasSubstr("invalid_client")));
  }
  EXPECT_EQ(endpoint_.requests(), 1U);
  answer_.clear();
  steady_.Advance(absl::Seconds(30));
  EXPECT_EQ(StatusAt(host_.Url()), 204);
}

TEST_F(TokenSourceTest, ATokenThatIsStillGoodOutlivesAnEndpointThatFails) {
  MakeClient({credential_});
  EXPECT_EQ(StatusAt(host_.Url()), 204);
  status_ = 503;
  answer_ = "down";
  steady_.Advance(absl::Seconds(280));
  EXPECT_EQ(StatusAt(host_.Url()), 204);
  EXPECT_EQ(StatusAt(host_.Url()), 204);
  EXPECT_EQ(endpoint_.requests(), 2U);
  steady_.Advance(absl::Seconds(30));
  EXPECT_THAT(Ask(host_.Url()).get(), StatusIs(absl::StatusCode::kUnavailable,
                                               HasSubstr("answered 503")));
}

TEST_F(TokenSourceTest, AnAnswerThatIsTooLargeIsNone) {
  answer_ =
      absl::StrCat(R"({"access_token":")", std::string(1 << 20, 'x'), R"("})");
  MakeClient({credential_});
  EXPECT_THAT(Ask(host_.Url()).get(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("too large")));
  EXPECT_EQ(host_.requests(), 0U);
}

TEST_F(TokenSourceTest, AMissingSecretIsNamed) {
  credential_.oauth2.client_secret_file = directory_ + "/absent";
  MakeClient({credential_});
  EXPECT_THAT(Ask(host_.Url()).get(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("/absent")));
  EXPECT_EQ(endpoint_.requests(), 0U);
}

TEST(ReadTokenAnswerTest, TakesWhatRfc6749Says) {
  const auto token = ReadTokenAnswer(
      Json(200, R"({"access_token":"a.b","token_type":"bearer",)"
                R"("expires_in":"3600","scope":"x"})"));
  ASSERT_THAT(token, IsOk());
  EXPECT_EQ(token->token.Reveal(), "a.b");
  EXPECT_EQ(token->lifetime, absl::Hours(1));
  EXPECT_EQ(ReadTokenAnswer(Json(200, R"({"access_token":"a"})"))->lifetime,
            TokenSource::kUsualLifetime);
  EXPECT_EQ(
      ReadTokenAnswer(Json(200, R"({"access_token":"a","expires_in":1e300})"))
          ->lifetime,
      absl::Hours(24));
}

TEST(ReadTokenAnswerTest, RefusesWhatIsNoToken) {
  for (const char* body :
       {"", "null", "[]", "{}", R"({"access_token":7})",
        R"({"access_token":""})", R"({"access_token":"canary b"})",
        R"({"access_token":"canary\r\nX: y"})",
        R"({"access_token":"a","token_type":"mac"})",
        R"({"access_token":"a","token_type":1})",
        R"({"access_token":"a","expires_in":0})",
        R"({"access_token":"a","expires_in":-1})",
        R"({"access_token":"a","expires_in":"soon"})",
        R"({"access_token":"a","expires_in":null})",
        R"({"access_token":"a","access_token":"b"})"}) {
    EXPECT_THAT(
        ReadTokenAnswer(Json(200, body)),
        StatusIs(absl::StatusCode::kUnavailable, Not(HasSubstr("canary"))))
        << body;
  }
  // The code of an error is shown only if it is one.
  for (const char* body :
       {R"({"error":"<canary>"})", R"({"error":{"a":"canary"}})", "canary"}) {
    EXPECT_THAT(ReadTokenAnswer(Json(400, body)),
                StatusIs(absl::StatusCode::kUnavailable, Eq("it answered 400")))
        << body;
  }
}

}  // namespace
}  // namespace insula::outbound
