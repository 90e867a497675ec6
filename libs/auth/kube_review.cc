#include "libs/auth/kube_review.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "libs/auth/asked_tokens.h"
#include "libs/auth/digest.h"
#include "libs/auth/digest_cache.h"
#include "libs/auth/single_flight.h"
#include "libs/auth/verifier_metrics.h"
#include "libs/kube/api_error.h"
#include "libs/kube/json.h"
#include "libs/secret/secret.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::auth {
namespace {

namespace asio = boost::asio;
using kube::At;
using kube::Json;
using kube::StringAt;

constexpr absl::string_view kExtraPrefix = "extra/";
constexpr size_t kMaxTokenBytes = 8192;
constexpr size_t kMaxValues = 1000;  // Groups of a user, values of an extra.

absl::Status Unavailable(absl::string_view why) {
  return absl::UnavailableError(
      absl::StrCat("the Kubernetes API can't be asked: ", why));
}

// After a call for `reviews` that came to `error`. Callers see this: what the
// API server writes may hold the token that it was asked about, or our own.
absl::Status Failed(const absl::Status& error, absl::string_view reviews) {
  const int status = kube::HttpStatusOf(error);
  if (status == 0) return Unavailable(error.message());
  return Unavailable(absl::StrCat(
      "it answers ", status, " to ", reviews,
      status == 401 || status == 403
          ? ", give our own account ClusterRole system:auth-delegator"
          : ""));
}

std::string NameOf(const KubeReviewOptions& options) {
  if (options.cluster.empty()) return "the cluster";
  return absl::StrCat("cluster ", options.cluster);
}

bool IsOurs(const Credential& credential) {
  return credential.scheme == "bearer" && !credential.text.empty() &&
         credential.text.size() <= kMaxTokenBytes;
}

// The texts of an array; an error for anything else, null apart.
absl::StatusOr<std::vector<std::string>> TextsOf(const Json& json,
                                                 absl::string_view what) {
  std::vector<std::string> texts;
  if (json.is_null()) return texts;
  if (!json.is_array() || json.size() > kMaxValues) {
    return Unavailable(absl::StrCat("its ", what, " are no list, or too many"));
  }
  for (const Json& element : json) {
    if (!element.is_string()) {
      return Unavailable(absl::StrCat("its ", what, " are no texts"));
    }
    texts.push_back(element.get<std::string>());
  }
  return texts;
}

kube::ApiRequest TokenReviewOf(const Secret& token,
                               const std::vector<std::string>& audiences) {
  Json review = Json::object();
  review["apiVersion"] = "authentication.k8s.io/v1";
  review["kind"] = "TokenReview";
  review["spec"]["token"] = token.Reveal();
  if (!audiences.empty()) review["spec"]["audiences"] = audiences;
  kube::ApiRequest request;
  request.method = "POST";
  request.path = "/apis/authentication.k8s.io/v1/tokenreviews";
  request.body = kube::ToText(review);
  return request;
}

// Whether the review is about one of our audiences. An API server that does not
// know of audiences names none, and then nobody has looked.
bool IsForUs(const std::vector<std::string>& named,
             const std::vector<std::string>& ours) {
  return ours.empty() ||
         std::any_of(named.begin(), named.end(), [&](const std::string& one) {
           return std::find(ours.begin(), ours.end(), one) != ours.end();
         });
}

absl::StatusOr<Principal> ReadTokenReview(const Json& review,
                                          const KubeReviewOptions& options) {
  if (StringAt(review, {"kind"}) != "TokenReview" ||
      !At(review, {"status"}).is_object()) {
    return Unavailable("its answer is no TokenReview");
  }
  const Json& authenticated = At(review, {"status", "authenticated"});
  if (!authenticated.is_boolean() || !authenticated.get<bool>()) {
    return absl::UnauthenticatedError(absl::StrCat(
        NameOf(options),
        " does not take the token: it is wrong, expired or for another "
        "audience"));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> audiences,
                   TextsOf(At(review, {"status", "audiences"}), "audiences"));
  if (!IsForUs(audiences, options.audiences)) {
    return absl::UnauthenticatedError(
        absl::StrCat("the token must be for audience ",
                     absl::StrJoin(options.audiences, " or ")));
  }
  const Json& user = At(review, {"status", "user"});
  Principal principal;
  principal.method = "kubernetes";
  principal.issuer = options.cluster;
  principal.name = StringAt(user, {"username"});
  if (principal.name.empty()) return Unavailable("its user has no name");
  ASSIGN_OR_RETURN(std::vector<std::string> groups,
                   TextsOf(At(user, {"groups"}), "groups"));
  principal.attributes.push_back({"groups", std::move(groups)});
  const std::string uid = StringAt(user, {"uid"});
  if (!uid.empty()) principal.attributes.push_back({"uid", {uid}});
  const Json& extra = At(user, {"extra"});
  if (!extra.is_object()) return principal;
  if (extra.size() > kMaxValues) return Unavailable("its extras are too many");
  for (const auto& [key, values] : extra.items()) {
    ASSIGN_OR_RETURN(std::vector<std::string> texts, TextsOf(values, "extras"));
    principal.attributes.push_back(
        {absl::StrCat(kExtraPrefix, key), std::move(texts)});
  }
  return principal;
}

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
    } else if (absl::ConsumePrefix(&key, kExtraPrefix)) {
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
    return Unavailable("its answer is no SubjectAccessReview");
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

absl::Status KubeReviewOptions::Validate() const {
  for (const std::string& audience : audiences) {
    if (audience.empty()) {
      return absl::InvalidArgumentError("audiences: must not be empty texts");
    }
  }
  for (const absl::Duration ttl : {token_ttl, allowed_ttl, refused_ttl}) {
    if (ttl < absl::ZeroDuration() || ttl > absl::Minutes(5)) {
      return absl::InvalidArgumentError(
          "token_ttl, allowed_ttl and refused_ttl: must be at most 5m, what is "
          "taken away has an effect after that");
    }
  }
  if (timeout <= absl::ZeroDuration() || max_checks == 0 ||
      source_failures.per_second <= 0 || source_failures.burst < 1) {
    return absl::InvalidArgumentError(
        "timeout, max_checks and source_failures: must be more than nothing");
  }
  return absl::OkStatus();
}

class KubeTokenVerifier::State {
 public:
  State(KubeReviewOptions options, KubeReviewEnvironment environment)
      : options_(std::move(options)),
        environment_(std::move(environment)),
        tokens_(MakeTokens()) {}

  static asio::awaitable<absl::StatusOr<Principal>> Verify(
      std::shared_ptr<State> self, Credential credential) {
    if (!IsOurs(credential)) {
      co_return self->tokens_->Refuse(
          "send a token of the cluster as 'Authorization: Bearer TOKEN'");
    }
    AskedTokens::Ask ask = [self](Secret token) {
      return Ask(self, std::move(token));
    };
    co_return co_await AskedTokens::Verify(self->tokens_, std::move(credential),
                                           std::move(ask));
  }

  std::optional<absl::StatusOr<Principal>> Known(const Credential& credential) {
    return tokens_->Known(credential);
  }

 private:
  std::shared_ptr<AskedTokens> MakeTokens() const {
    AskedTokens::Options options;
    options.method = "kubernetes";
    options.good_ttl = options_.token_ttl;
    options.wrong_ttl = options_.refused_ttl;
    options.max_tokens = options_.max_entries;
    options.source_failures = options_.source_failures;
    options.timeout = options_.timeout;
    options.max_checks = options_.max_checks;
    AskedTokens::Environment environment;
    environment.executor = environment_.executor;
    environment.steady = environment_.steady;
    environment.metrics = environment_.metrics;
    return std::make_shared<AskedTokens>(std::move(options),
                                         std::move(environment));
  }

  static asio::awaitable<absl::StatusOr<Principal>> Ask(
      std::shared_ptr<State> self, Secret token) {
    kube::ApiRequest request = TokenReviewOf(token, self->options_.audiences);
    const absl::StatusOr<Json> review =
        co_await self->environment_.client->Call(
            std::move(request), absl::Now() + self->options_.timeout);
    if (!review.ok()) co_return Failed(review.status(), "tokenreviews");
    co_return ReadTokenReview(*review, self->options_);
  }

  const KubeReviewOptions options_;
  const KubeReviewEnvironment environment_;
  const std::shared_ptr<AskedTokens> tokens_;
};

KubeTokenVerifier::KubeTokenVerifier(std::shared_ptr<State> state)
    : state_(std::move(state)) {}
KubeTokenVerifier::~KubeTokenVerifier() = default;

absl::StatusOr<std::unique_ptr<KubeTokenVerifier>> KubeTokenVerifier::Make(
    KubeReviewOptions options, KubeReviewEnvironment environment) {
  RETURN_IF_ERROR(options.Validate());
  return std::unique_ptr<KubeTokenVerifier>(new KubeTokenVerifier(
      std::make_shared<State>(std::move(options), std::move(environment))));
}

asio::awaitable<absl::StatusOr<Principal>> KubeTokenVerifier::Verify(
    Credential credential) {
  return State::Verify(state_, std::move(credential));
}

std::optional<absl::StatusOr<Principal>> KubeTokenVerifier::Known(
    const Credential& credential) {
  if (!IsOurs(credential)) return std::nullopt;
  return state_->Known(credential);
}

std::string KubeTokenVerifier::Challenge() const {
  return "Bearer realm=\"kubernetes\"";
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
          absl::StrCat("only users of ", NameOf(options_),
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
      co_return Failed(review.status(), "subjectaccessreviews");
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
