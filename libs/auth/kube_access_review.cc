// KubeAccessReviewer, and what it shares with KubeTokenVerifier.
#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "libs/auth/digest.h"
#include "libs/auth/digest_cache.h"
#include "libs/auth/kube_review.h"
#include "libs/auth/kube_review_parts.h"
#include "libs/auth/single_flight.h"
#include "libs/auth/verifier_metrics.h"
#include "libs/kube/api_error.h"
#include "libs/kube/json.h"
#include "libs/secret/secret.h"
#include "libs/status/status_macros.h"

namespace insula::auth {
namespace {

namespace asio = boost::asio;
using kube::At;
using kube::Json;
using kube::StringAt;

kube::ApiRequest AccessReviewOf(const Principal& principal,
                                const AccessQuestion& question) {
  Json attributes = Json::object();
  attributes["namespace"] = question.namespace_name;
  attributes["verb"] = question.verb;
  attributes["group"] = question.group;
  attributes["resource"] = question.resource;
  if (!question.subresource.empty()) {
    attributes["subresource"] = question.subresource;
  }
  Json spec = Json::object();
  spec["user"] = principal.name;
  spec["resourceAttributes"] = std::move(attributes);
  for (const auto& [name, values] : principal.attributes) {
    absl::string_view key = name;
    if (name == "groups") {
      spec["groups"] = values;
    } else if (name == "uid" && !values.empty()) {
      spec["uid"] = values[0];
    } else if (absl::ConsumePrefix(&key, kReviewExtraPrefix)) {
      spec["extra"][std::string(key)] = values;
    }
  }
  Json review = Json::object();
  review["apiVersion"] = "authorization.k8s.io/v1";
  review["kind"] = "SubjectAccessReview";
  review["spec"] = std::move(spec);
  kube::ApiRequest request;
  request.method = "POST";
  request.path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
  request.body = kube::ToText(review);
  return request;
}

absl::Status ReadAccessReview(const Json& review, const Principal& principal,
                              const AccessQuestion& question) {
  const Json& allowed = At(review, {"status", "allowed"});
  if (StringAt(review, {"kind"}) != "SubjectAccessReview" ||
      !allowed.is_boolean()) {
    return ReviewUnavailable("its answer is no SubjectAccessReview");
  }
  const Json& denied = At(review, {"status", "denied"});
  const bool is_denied = !denied.is_null() && denied != Json(false);
  if (allowed.get<bool>() && !is_denied) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("Forbidden (user=", absl::CHexEscape(principal.name),
                   ", verb=", question.verb, ", resource=", question.resource,
                   question.subresource.empty() ? "" : ", subresource=",
                   question.subresource,
                   ", namespace=", absl::CHexEscape(question.namespace_name),
                   "): grant it with a RoleBinding"));
}

// All that the answer depends on.
Digest KeyOf(const Secret& key, const Principal& principal,
             const AccessQuestion& question) {
  KeyedDigest digest(key);
  digest.Add(principal.name)
      .Add(question.namespace_name)
      .Add(question.verb)
      .Add(question.group)
      .Add(question.resource)
      .Add(question.subresource);
  for (const auto& [name, values] : principal.attributes) {
    digest.Add(name).Add(absl::StrCat(values.size()));
    for (const std::string& value : values) digest.Add(value);
  }
  return digest.Finish();
}

}  // namespace

absl::Status ReviewUnavailable(absl::string_view why) {
  return absl::UnavailableError(
      absl::StrCat("the Kubernetes API can't be asked: ", why));
}

absl::Status ReviewFailed(const absl::Status& error,
                          absl::string_view reviews) {
  const int status = kube::HttpStatusOf(error);
  if (status == 0) return ReviewUnavailable(error.message());
  return ReviewUnavailable(absl::StrCat(
      "it answers ", status, " to ", reviews,
      status == 401 || status == 403
          ? ", give our own account ClusterRole system:auth-delegator"
          : ""));
}

std::string ClusterName(const KubeReviewOptions& options) {
  if (options.cluster.empty()) return "the cluster";
  return absl::StrCat("cluster ", options.cluster);
}

class KubeAccessReviewer::State {
 public:
  // The value says nothing; a refusal is an error.
  using Flights = SingleFlight<bool>;

  State(KubeReviewOptions options, KubeReviewEnvironment environment)
      : options_(std::move(options)),
        environment_(std::move(environment)),
        key_(RandomKey()),
        answers_(options_.max_entries),
        flights_(std::make_shared<Flights>(environment_.executor,
                                           options_.max_checks)),
        metrics_(environment_.metrics, "kubernetes_access") {}

  static asio::awaitable<absl::Status> Review(std::shared_ptr<State> self,
                                              Principal principal,
                                              AccessQuestion question) {
    const absl::Status sane = self->CheckQuestion(principal, question);
    if (!sane.ok()) {
      self->metrics_.Count(sane);
      co_return sane;
    }
    const Digest key = KeyOf(self->key_, principal, question);
    const absl::Time now = self->environment_.steady->Now();
    if (std::optional<absl::Status> known = self->answers_.Find(key, now)) {
      self->metrics_.Cached();
      co_return *std::move(known);
    }
    const absl::Time deadline =
        std::min(question.deadline, absl::Now() + self->options_.timeout);
    Flights::Work work = [self, key, principal, question] {
      return Ask(self, key, principal, question);
    };
    const absl::StatusOr<bool> result =
        co_await Flights::Run(self->flights_, key, std::move(work), deadline);
    self->metrics_.Count(result.status());
    co_return result.status();
  }

 private:
  absl::Status CheckQuestion(const Principal& principal,
                             const AccessQuestion& question) const {
    if (principal.method != "kubernetes" ||
        principal.issuer != options_.cluster) {
      return absl::PermissionDeniedError(
          absl::StrCat("only users of ", ClusterName(options_),
                       " have rights there: send a token of it"));
    }
    if (question.namespace_name.empty() || question.verb.empty() ||
        question.verb == "*" || question.resource.empty()) {
      return absl::PermissionDeniedError(
          "a request must name a namespace, and be one that stands for a verb");
    }
    return absl::OkStatus();
  }

  static asio::awaitable<absl::StatusOr<bool>> Ask(std::shared_ptr<State> self,
                                                   Digest key,
                                                   Principal principal,
                                                   AccessQuestion question) {
    if (const auto known =
            self->answers_.Find(key, self->environment_.steady->Now())) {
      if (known->ok()) co_return true;
      co_return *known;
    }
    kube::ApiRequest request = AccessReviewOf(principal, question);
    const absl::StatusOr<Json> review =
        co_await self->environment_.client->Call(
            std::move(request), absl::Now() + self->options_.timeout);
    if (!review.ok()) {
      co_return ReviewFailed(review.status(), "subjectaccessreviews");
    }
    const absl::Status answer = ReadAccessReview(*review, principal, question);
    const absl::Time now = self->environment_.steady->Now();
    if (answer.ok() || absl::IsPermissionDenied(answer)) {
      const absl::Duration ttl =
          answer.ok() ? self->options_.allowed_ttl : self->options_.refused_ttl;
      self->answers_.Put(key, answer, now + ttl, now);
    }
    if (!answer.ok()) co_return answer;
    co_return true;
  }

  const KubeReviewOptions options_;
  const KubeReviewEnvironment environment_;
  const Secret key_;
  DigestCache<absl::Status> answers_;
  const std::shared_ptr<Flights> flights_;
  VerifierMetrics metrics_;
};

KubeAccessReviewer::KubeAccessReviewer(std::shared_ptr<State> state)
    : state_(std::move(state)) {}
KubeAccessReviewer::~KubeAccessReviewer() = default;

absl::StatusOr<std::unique_ptr<KubeAccessReviewer>> KubeAccessReviewer::Make(
    KubeReviewOptions options, KubeReviewEnvironment environment) {
  RETURN_IF_ERROR(options.Validate());
  return std::unique_ptr<KubeAccessReviewer>(new KubeAccessReviewer(
      std::make_shared<State>(std::move(options), std::move(environment))));
}

asio::awaitable<absl::Status> KubeAccessReviewer::Review(
    Principal principal, AccessQuestion question) {
  return State::Review(state_, std::move(principal), std::move(question));
}

}  // namespace insula::auth
