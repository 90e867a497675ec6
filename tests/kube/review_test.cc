// Tokens and rights as a real Kubernetes API server judges them.
#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/auth/kube_review.h"
#include "libs/http/url.h"
#include "libs/kube/client.h"
#include "libs/metrics/metrics.h"
#include "libs/status/status_matchers.h"
#include "libs/time/fake_clock.h"
#include "tests/kube/kube_api.h"

namespace insula::auth {
namespace {

namespace asio = boost::asio;
using e2e::KubeApi;
using e2e::WaitUntil;
using testing::AllOf;
using testing::Contains;
using testing::Eq;
using testing::HasSubstr;
using testing::Pointee;
using enum absl::StatusCode;

constexpr char kTokens[] =
    "root-token,root,1,\"system:masters\"\n"
    "insula-token,system:serviceaccount:monitoring:insula,2,\"system:"
    "serviceaccounts\"\n"
    "grafana-token,system:serviceaccount:red:grafana,3,"
    "\"system:serviceaccounts,system:serviceaccounts:red\"\n";
constexpr char kGrafana[] = "system:serviceaccount:red:grafana";
constexpr char kRbac[] = "/apis/rbac.authorization.k8s.io/v1/";

class ReviewTest : public testing::Test {
 protected:
  ReviewTest()
      : api_({"--authz", "rbac", "--anonymous=false", "--audiences",
              "https://kubernetes.default.svc,insula"},
             kTokens) {
    options_.cluster = "test";
    options_.audiences = {"insula"};
    Create("clusterroles", R"({"metadata": {"name": "system:auth-delegator"},
      "rules": [{"apiGroups": ["authentication.k8s.io"],
                 "resources": ["tokenreviews"], "verbs": ["create"]},
                {"apiGroups": ["authorization.k8s.io"],
                 "resources": ["subjectaccessreviews"],
                 "verbs": ["create"]}]})");
    Create("clusterrolebindings", R"({"metadata": {"name": "insula"},
      "roleRef": {"apiGroup": "rbac.authorization.k8s.io",
                  "kind": "ClusterRole", "name": "system:auth-delegator"},
      "subjects": [{"kind": "ServiceAccount", "namespace": "monitoring",
                    "name": "insula"}]})");
    for (const char* name : {"red", "green"}) Allow(name);
    As("insula-token");
  }
  ~ReviewTest() override {
    verifier_.reset();
    reviewer_.reset();
    client_.reset();
    pool_.join();
  }

  void Create(absl::string_view kind, absl::string_view body) {
    const auto answer =
        api_.Send("POST", absl::StrCat(kRbac, kind), body, "root-token");
    EXPECT_EQ(answer.status, 201) << answer.body;
  }
  // Lets Grafana of namespace red read the metrics of a namespace.
  void Allow(absl::string_view name) {
    const std::string home = absl::StrCat("namespaces/", name, "/");
    Create(home + "roles", R"({"metadata": {"name": "namespace-metrics"},
      "rules": [{"apiGroups": [""], "resources": ["namespace/metrics"],
                 "verbs": ["get"]}]})");
    Create(home + "rolebindings", R"({"metadata": {"name": "grafana"},
      "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role",
                  "name": "namespace-metrics"},
      "subjects": [{"kind": "ServiceAccount", "namespace": "red",
                    "name": "grafana"}]})");
  }

  // Asks as the owner of that token.
  void As(const std::string& token) {
    kube::Cluster cluster;
    cluster.server = http::Url::Parse(api_.url()).value();
    cluster.tls.ca_file = api_.ca_file();
    cluster.token = token;
    client_ = std::make_shared<kube::Client>(cluster, kube::ClientOptions(),
                                             pool_.get_executor(), &metrics_);
    KubeReviewEnvironment environment;
    environment.client = client_;
    environment.executor = pool_.get_executor();
    environment.steady = &steady_;
    environment.metrics = &metrics_;
    verifier_ = KubeTokenVerifier::Make(options_, environment).value();
    reviewer_ = KubeAccessReviewer::Make(options_, environment).value();
  }

  template <typename T>
  T Await(asio::awaitable<T> work) {
    return asio::co_spawn(asio::make_strand(pool_.get_executor()),
                          std::move(work), asio::use_future)
        .get();
  }
  absl::StatusOr<Principal> Verify(std::string token) {
    Credential credential;
    credential.scheme = "bearer";
    credential.text = std::move(token);
    credential.peer_address = "10.0.0.1";
    return Await(verifier_->Verify(std::move(credential)));
  }
  static AccessQuestion Metrics(std::string namespace_name) {
    AccessQuestion question;
    question.namespace_name = std::move(namespace_name);
    question.verb = "get";
    question.resource = "namespace";
    question.subresource = "metrics";
    return question;
  }
  absl::Status Review(const Principal& principal, AccessQuestion question) {
    return Await(reviewer_->Review(principal, std::move(question)));
  }
  KubeApi api_;
  FakeClock steady_;
  metrics::Registry metrics_;
  asio::thread_pool pool_{2};
  KubeReviewOptions options_;
  std::shared_ptr<kube::Client> client_;
  std::unique_ptr<KubeTokenVerifier> verifier_;
  std::unique_ptr<KubeAccessReviewer> reviewer_;
};

TEST_F(ReviewTest, ATokenIsItsUser) {
  const auto principal = Verify("grafana-token");
  ASSERT_THAT(principal, IsOk());
  EXPECT_THAT(principal->issuer, Eq("test"));
  EXPECT_THAT(principal->name, Eq(kGrafana));
  EXPECT_THAT(principal->Find("groups"),
              Pointee(Contains("system:serviceaccounts:red")));
  EXPECT_THAT(principal->Find("uid"), Pointee(Contains("3")));
  EXPECT_THAT(Verify("nobodys-token"), StatusIs(kUnauthenticated));
}

TEST_F(ReviewTest, ATokenForAnotherAudienceIsWrong) {
  options_.audiences = {"somebody-else"};
  As("insula-token");
  EXPECT_THAT(Verify("grafana-token"), StatusIs(kUnauthenticated));
  options_.audiences = {"somebody-else", "insula"};
  As("insula-token");
  EXPECT_THAT(Verify("grafana-token"), IsOk());
}

TEST_F(ReviewTest, EachNamespaceNeedsARight) {
  const auto grafana = Verify("grafana-token");
  ASSERT_THAT(grafana, IsOk());
  EXPECT_THAT(Review(*grafana, Metrics("red")), IsOk());
  EXPECT_THAT(Review(*grafana, Metrics("blue")),
              StatusIs(kPermissionDenied,
                       AllOf(HasSubstr(kGrafana), HasSubstr("blue"))));
  EXPECT_THAT(Review(*grafana, Metrics("green")), IsOk());

  AccessQuestion write = Metrics("red");
  write.verb = "create";
  EXPECT_THAT(Review(*grafana, write), StatusIs(kPermissionDenied));
  AccessQuestion secrets = Metrics("red");
  secrets.resource = "secrets";
  secrets.subresource = "";
  EXPECT_THAT(Review(*grafana, secrets), StatusIs(kPermissionDenied));
}

TEST_F(ReviewTest, ARightThatIsTakenAwayIsGoneAfterSeconds) {
  const auto grafana = Verify("grafana-token");
  ASSERT_THAT(grafana, IsOk());
  EXPECT_THAT(Review(*grafana, Metrics("red")), IsOk());
  const auto answer = api_.Send(
      "DELETE", absl::StrCat(kRbac, "namespaces/red/rolebindings/grafana"), "",
      "root-token");
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_THAT(Review(*grafana, Metrics("red")), IsOk());
  steady_.Advance(options_.allowed_ttl);
  EXPECT_THAT(Review(*grafana, Metrics("red")), StatusIs(kPermissionDenied));
}

TEST_F(ReviewTest, WhoMayNotAskCantSay) {
  As("grafana-token");
  EXPECT_THAT(Verify("grafana-token"),
              StatusIs(kUnavailable, HasSubstr("tokenreviews")));
}

TEST_F(ReviewTest, AServerThatIsDownLetsNobodyIn) {
  const auto grafana = Verify("grafana-token");
  ASSERT_THAT(grafana, IsOk());
  api_.Kill();
  EXPECT_THAT(Verify("nobodys-token"), StatusIs(kUnavailable));
  EXPECT_THAT(Review(*grafana, Metrics("red")), StatusIs(kUnavailable));
  EXPECT_THAT(Verify("grafana-token"), IsOk());  // Known for seconds yet.
  steady_.Advance(options_.token_ttl);
  EXPECT_THAT(Verify("grafana-token"), StatusIs(kUnavailable));
  api_.Start();
  EXPECT_TRUE(WaitUntil([this] { return Verify("grafana-token").ok(); }));
}

}  // namespace
}  // namespace insula::auth
