// Against a server that answers by a script; tests/kube has the real one.
#include "libs/auth/kube_review.h"

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/kube/client.h"
#include "libs/kube/fake_api.h"
#include "libs/kube/json.h"
#include "libs/metrics/metrics.h"
#include "libs/status/status_matchers.h"
#include "libs/time/fake_clock.h"

namespace insula::auth {
namespace {

namespace asio = boost::asio;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsNull;
using ::testing::Not;
using ::testing::Pointee;
using ::testing::SizeIs;
using enum absl::StatusCode;
using kube::FakeApi;
using kube::Json;
using kube::StringAt;

constexpr char kAlice[] = R"({"kind": "TokenReview", "status": {
  "authenticated": true, "audiences": ["insula"],
  "user": {"username": "system:serviceaccount:red:grafana", "uid": "7",
           "groups": ["system:serviceaccounts", "system:authenticated"],
           "extra": {"authentication.kubernetes.io/pod-name": ["g-0"]}}}})";
constexpr char kAllowed[] =
    R"({"kind": "SubjectAccessReview", "status": {"allowed": true}})";
constexpr char kRefused[] =
    R"({"kind": "SubjectAccessReview", "status": {"allowed": false,
        "reason": "no RBAC rule matched"}})";

class KubeReviewTest : public testing::Test {
 protected:
  KubeReviewTest() { options_.cluster = "prod"; }
  ~KubeReviewTest() override {
    verifier_.reset();
    reviewer_.reset();
    client_.reset();
    pool_.join();
    api_.reset();
  }

  void Start(FakeApi::Script script) {
    api_ = std::make_unique<FakeApi>(std::move(script));
    kube::Cluster cluster;
    cluster.server = api_->url();
    client_ = std::make_shared<kube::Client>(cluster, kube::ClientOptions(),
                                             pool_.get_executor(), &metrics_);
    KubeReviewEnvironment environment;
    environment.client = client_;
    environment.executor = pool_.get_executor();
    environment.steady = &steady_;
    environment.metrics = &metrics_;
    auto verifier = KubeTokenVerifier::Make(options_, environment);
    ASSERT_THAT(verifier, IsOk());
    verifier_ = *std::move(verifier);
    auto reviewer = KubeAccessReviewer::Make(options_, environment);
    ASSERT_THAT(reviewer, IsOk());
    reviewer_ = *std::move(reviewer);
  }
  // Always answers so.
  void Start(int status, std::string body) {
    FakeApi::Answer answer;
    answer.status = status;
    answer.body = std::move(body);
    Start([answer](const FakeApi::Request&) { return answer; });
  }

  template <typename T>
  std::future<T> Spawn(asio::awaitable<T> work) {
    return asio::co_spawn(asio::make_strand(pool_.get_executor()),
                          std::move(work), asio::use_future);
  }
  std::future<absl::StatusOr<Principal>> Ask(std::string token) {
    Credential credential;
    credential.scheme = "bearer";
    credential.text = std::move(token);
    credential.peer_address = "10.0.0.1";
    return Spawn(verifier_->Verify(std::move(credential)));
  }
  absl::StatusOr<Principal> Verify(std::string token) {
    return Ask(std::move(token)).get();
  }

  static Principal Grafana() {
    Principal principal;
    principal.method = "kubernetes";
    principal.issuer = "prod";
    principal.name = "system:serviceaccount:red:grafana";
    principal.attributes = {
        {"groups", {"a", "b"}}, {"uid", {"7"}}, {"extra/scopes", {"x"}}};
    return principal;
  }
  static AccessQuestion Metrics(std::string namespace_name) {
    AccessQuestion question;
    question.namespace_name = std::move(namespace_name);
    question.verb = "get";
    question.resource = "namespace";
    question.subresource = "metrics";
    return question;
  }
  absl::Status Review(Principal principal, AccessQuestion question) {
    return Spawn(reviewer_->Review(std::move(principal), std::move(question)))
        .get();
  }

  FakeClock steady_;
  metrics::Registry metrics_;
  asio::thread_pool pool_{2};
  KubeReviewOptions options_;
  std::unique_ptr<FakeApi> api_;
  std::shared_ptr<kube::Client> client_;
  std::unique_ptr<KubeTokenVerifier> verifier_;
  std::unique_ptr<KubeAccessReviewer> reviewer_;
};

TEST_F(KubeReviewTest, ATokenIsItsUser) {
  options_.cluster = "prod";
  options_.audiences = {"insula", "other"};
  Start(201, kAlice);
  const auto principal = Verify("token-a");
  ASSERT_THAT(principal, IsOk());
  EXPECT_THAT(principal->method, Eq("kubernetes"));
  EXPECT_THAT(principal->issuer, Eq("prod"));
  EXPECT_THAT(principal->name, Eq("system:serviceaccount:red:grafana"));
  EXPECT_THAT(
      principal->Find("groups"),
      Pointee(ElementsAre("system:serviceaccounts", "system:authenticated")));
  EXPECT_THAT(principal->Find("uid"), Pointee(ElementsAre("7")));
  EXPECT_THAT(principal->Find("extra/authentication.kubernetes.io/pod-name"),
              Pointee(ElementsAre("g-0")));
  EXPECT_THAT(principal->Find("extra"), IsNull());

  const FakeApi::Request request = api_->requests().at(0);
  EXPECT_TRUE(absl::StartsWith(
      request.line, "POST /apis/authentication.k8s.io/v1/tokenreviews "));
  const auto body = kube::ParseJson(request.body);
  ASSERT_THAT(body, IsOk());
  EXPECT_THAT(StringAt(*body, {"kind"}), Eq("TokenReview"));
  EXPECT_THAT(StringAt(*body, {"spec", "token"}), Eq("token-a"));
  EXPECT_THAT((*body)["spec"]["audiences"], Eq(Json({"insula", "other"})));
}

TEST_F(KubeReviewTest, ATokenOfAnotherAudienceIsWrong) {
  options_.audiences = {"ours"};
  Start(201, kAlice);
  EXPECT_THAT(Verify("a"),
              StatusIs(kUnauthenticated, HasSubstr("audience ours")));
}

TEST_F(KubeReviewTest, AServerThatNamesNoAudienceHasNotLooked) {
  options_.audiences = {"insula"};
  Start(201, R"({"kind": "TokenReview", "status": {"authenticated": true,
                 "user": {"username": "alice"}}})");
  EXPECT_THAT(Verify("a"), StatusIs(kUnauthenticated));
}

TEST_F(KubeReviewTest, ATokenThatTheServerDoesNotTakeIsWrong) {
  for (const char* status :
       {"{}", R"({"authenticated": false})",
        R"({"authenticated": false, "error": "invalid bearer token"})",
        R"({"user": {"username": "alice"}})",
        R"({"authenticated": "true", "user": {"username": "alice"}})"}) {
    Start(201,
          absl::StrCat(R"({"kind": "TokenReview", "status": )", status, "}"));
    EXPECT_THAT(Verify("a"), StatusIs(kUnauthenticated)) << status;
  }
}

TEST_F(KubeReviewTest, AnAnswerThatMakesNoSenseLetsNobodyIn) {
  for (const char* body :
       {"", "{}", "[]", R"({"kind": "Status"})", R"({"kind": "TokenReview"})",
        R"({"kind": "TokenReview", "status": {"authenticated": true}})",
        R"({"kind": "TokenReview", "status": {"authenticated": true,
            "user": {"username": ["alice"]}}})",
        R"({"kind": "TokenReview", "status": {"authenticated": true,
            "user": {"username": "alice", "groups": "admins"}}})",
        R"({"kind": "TokenReview", "status": {"authenticated": true,
            "user": {"username": "alice", "groups": [1]}}})",
        R"({"kind": "TokenReview", "status": {"authenticated": true,
            "user": {"username": "alice", "extra": {"a": "b"}}}})"}) {
    Start(201, body);
    EXPECT_THAT(Verify("a"), StatusIs(kUnavailable)) << body;
    EXPECT_THAT(Review(Grafana(), Metrics("red")), StatusIs(kUnavailable))
        << body;
  }
}

TEST_F(KubeReviewTest, DownOrNotAllowedToAskMeansThatItCantBeSaid) {
  for (const int status : {401, 403, 404, 409, 422, 429, 500, 503}) {
    Start(status, R"({"kind": "Status", "message": "you told me: a"})");
    // Nor is it passed on what it says of the token.
    EXPECT_THAT(Verify("a"), StatusIs(kUnavailable, Not(HasSubstr("told"))))
        << status;
    EXPECT_THAT(Review(Grafana(), Metrics("red")), StatusIs(kUnavailable))
        << status;
  }
}

TEST_F(KubeReviewTest, ATokenIsAskedForAgainAfterSeconds) {
  Start(201, kAlice);
  EXPECT_THAT(Verify("a"), IsOk());
  EXPECT_THAT(Verify("a"), IsOk());
  steady_.Advance(absl::Seconds(9));
  EXPECT_THAT(Verify("a"), IsOk());
  EXPECT_THAT(api_->requests(), SizeIs(1));
  EXPECT_THAT(Verify("ab"), IsOk());
  EXPECT_THAT(api_->requests(), SizeIs(2));
  steady_.Advance(absl::Seconds(1));
  EXPECT_THAT(Verify("a"), IsOk());
  EXPECT_THAT(api_->requests(), SizeIs(3));
}

TEST_F(KubeReviewTest, WhatIsKnownNeedsNoWait) {
  Start(201, kAlice);
  Credential credential;
  credential.scheme = "bearer";
  credential.text = "a";
  EXPECT_FALSE(verifier_->Known(credential).has_value());
  EXPECT_THAT(Verify("a"), IsOk());
  ASSERT_TRUE(verifier_->Known(credential).has_value());
  EXPECT_THAT(*verifier_->Known(credential), IsOk());
  steady_.Advance(options_.token_ttl);
  EXPECT_FALSE(verifier_->Known(credential).has_value());
}

TEST_F(KubeReviewTest, EqualTokensAtOneTimeAreAskedForOnce) {
  Start(201, kAlice);
  std::vector<std::future<absl::StatusOr<Principal>>> all;
  for (int i = 0; i < 50; ++i) all.push_back(Ask("a"));
  for (auto& one : all) EXPECT_THAT(one.get(), IsOk());
  EXPECT_THAT(api_->requests(), SizeIs(1));
}

TEST_F(KubeReviewTest, WhoTriesManyTokensIsHeldUp) {
  options_.source_failures = {.per_second = 1, .burst = 2, .max_keys = 10};
  Start(201, R"({"kind": "TokenReview", "status": {}})");
  EXPECT_THAT(Verify("a"), StatusIs(kUnauthenticated));
  EXPECT_THAT(Verify("b"), StatusIs(kUnauthenticated));
  EXPECT_THAT(Verify("c"), StatusIs(kResourceExhausted));
  EXPECT_THAT(api_->requests(), SizeIs(2));
}

TEST_F(KubeReviewTest, AsksForARightWithAllThatIsKnownOfTheUser) {
  Start(201, kAllowed);
  EXPECT_THAT(Review(Grafana(), Metrics("red")), IsOk());
  const FakeApi::Request request = api_->requests().at(0);
  EXPECT_TRUE(absl::StartsWith(
      request.line,
      "POST /apis/authorization.k8s.io/v1/subjectaccessreviews "));
  const auto body = kube::ParseJson(request.body);
  ASSERT_THAT(body, IsOk());
  const auto wanted = kube::ParseJson(R"({
    "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
    "spec": {"user": "system:serviceaccount:red:grafana",
      "groups": ["a", "b"], "uid": "7", "extra": {"scopes": ["x"]},
      "resourceAttributes": {"namespace": "red", "verb": "get", "group": "",
        "resource": "namespace", "subresource": "metrics"}}})");
  ASSERT_THAT(wanted, IsOk());
  EXPECT_THAT(*body, Eq(*wanted));
}

TEST_F(KubeReviewTest, ARefusalSaysWhatIsMissing) {
  Start(201, kRefused);
  EXPECT_THAT(
      Review(Grafana(), Metrics("blue")),
      StatusIs(kPermissionDenied,
               HasSubstr("Forbidden (user=system:serviceaccount:red:grafana, "
                         "verb=get, resource=namespace, "
                         "subresource=metrics, namespace=blue)")));
}

TEST_F(KubeReviewTest, DeniedWinsOverAllowed) {
  Start(201, R"({"kind": "SubjectAccessReview",
                 "status": {"allowed": true, "denied": true}})");
  EXPECT_THAT(Review(Grafana(), Metrics("red")), StatusIs(kPermissionDenied));
}

TEST_F(KubeReviewTest, ARightIsAskedForAgainAfterSeconds) {
  std::atomic<bool> allowed = true;
  Start([&allowed](const FakeApi::Request&) {
    FakeApi::Answer answer;
    answer.status = 201;
    answer.body = allowed ? kAllowed : kRefused;
    return answer;
  });
  EXPECT_THAT(Review(Grafana(), Metrics("red")), IsOk());
  allowed = false;
  EXPECT_THAT(Review(Grafana(), Metrics("red")), IsOk());
  steady_.Advance(options_.allowed_ttl);
  EXPECT_THAT(Review(Grafana(), Metrics("red")), StatusIs(kPermissionDenied));
  allowed = true;
  EXPECT_THAT(Review(Grafana(), Metrics("red")), StatusIs(kPermissionDenied));
  steady_.Advance(options_.refused_ttl);
  EXPECT_THAT(Review(Grafana(), Metrics("red")), IsOk());
  EXPECT_THAT(api_->requests(), SizeIs(3));
}

TEST_F(KubeReviewTest, AnAnswerIsForThatUserAndThatQuestionAlone) {
  Start(201, kAllowed);
  EXPECT_THAT(Review(Grafana(), Metrics("red")), IsOk());
  std::vector<std::pair<Principal, AccessQuestion>> others;
  for (int i = 0; i < 8; ++i) others.emplace_back(Grafana(), Metrics("red"));
  others[0].first.name += "x";
  others[1].first.attributes[0].second = {"a"};
  others[2].first.attributes[0].second = {"ab"};
  others[3].first.attributes[2].second = {"y"};
  others[4].second.namespace_name = "blue";
  others[5].second.verb = "create";
  others[6].second.group = "apps";
  others[7].second.subresource = "logs";
  for (const auto& [principal, question] : others) {
    const size_t before = api_->requests().size();
    EXPECT_THAT(Review(principal, question), IsOk());
    EXPECT_THAT(api_->requests(), SizeIs(before + 1));
  }
}

TEST_F(KubeReviewTest, NamesOfOthersHaveNoRightsHere) {
  Start(201, kAllowed);
  Principal jwt = Grafana();
  jwt.method = "jwt";
  EXPECT_THAT(Review(jwt, Metrics("red")), StatusIs(kPermissionDenied));
  Principal elsewhere = Grafana();
  elsewhere.issuer = "other-cluster";
  EXPECT_THAT(Review(elsewhere, Metrics("red")), StatusIs(kPermissionDenied));
  EXPECT_THAT(api_->requests(), SizeIs(0));
}

TEST_F(KubeReviewTest, AQuestionAboutEverythingIsNotAsked) {
  Start(201, kAllowed);
  EXPECT_THAT(Review(Grafana(), Metrics("")), StatusIs(kPermissionDenied));
  AccessQuestion any = Metrics("red");
  any.verb = "*";
  EXPECT_THAT(Review(Grafana(), any), StatusIs(kPermissionDenied));
  any.verb = "";
  EXPECT_THAT(Review(Grafana(), any), StatusIs(kPermissionDenied));
  EXPECT_THAT(api_->requests(), SizeIs(0));
}

TEST(KubeReviewOptionsTest, SayWhatIsWrong) {
  KubeReviewOptions options;
  EXPECT_THAT(options.Validate(), IsOk());
  options.audiences = {""};
  EXPECT_THAT(options.Validate(),
              StatusIs(kInvalidArgument, HasSubstr("audiences: ")));
  options.audiences = {"insula"};
  options.allowed_ttl = absl::Hours(1);
  EXPECT_THAT(options.Validate(),
              StatusIs(kInvalidArgument, HasSubstr("allowed_ttl")));
  options.allowed_ttl = absl::Seconds(1);
  options.timeout = absl::ZeroDuration();
  EXPECT_THAT(options.Validate(),
              StatusIs(kInvalidArgument, HasSubstr("timeout")));
}

}  // namespace
}  // namespace insula::auth
