#include "libs/auth/kube_review.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "libs/auth/asked_tokens.h"
#include "libs/auth/kube_review_parts.h"
#include "libs/kube/json.h"
#include "libs/secret/secret.h"
#include "libs/status/status_macros.h"

namespace insula::auth {
namespace {

namespace asio = boost::asio;
using kube::At;
using kube::Json;
using kube::StringAt;

constexpr size_t kMaxTokenBytes = 8192;
constexpr size_t kMaxValues = 1000;  // Groups of a user, values of an extra.

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
    return ReviewUnavailable(
        absl::StrCat("its ", what, " are no list, or too many"));
  }
  for (const Json& element : json) {
    if (!element.is_string()) {
      return ReviewUnavailable(absl::StrCat("its ", what, " are no texts"));
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
    return ReviewUnavailable("its answer is no TokenReview");
  }
  const Json& authenticated = At(review, {"status", "authenticated"});
  if (!authenticated.is_boolean() || !authenticated.get<bool>()) {
    return absl::UnauthenticatedError(absl::StrCat(
        ClusterName(options),
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
  if (principal.name.empty()) return ReviewUnavailable("its user has no name");
  ASSIGN_OR_RETURN(std::vector<std::string> groups,
                   TextsOf(At(user, {"groups"}), "groups"));
  principal.attributes.push_back({"groups", std::move(groups)});
  const std::string uid = StringAt(user, {"uid"});
  if (!uid.empty()) principal.attributes.push_back({"uid", {uid}});
  const Json& extra = At(user, {"extra"});
  if (!extra.is_object()) return principal;
  if (extra.size() > kMaxValues)
    return ReviewUnavailable("its extras are too many");
  for (const auto& [key, values] : extra.items()) {
    ASSIGN_OR_RETURN(std::vector<std::string> texts, TextsOf(values, "extras"));
    principal.attributes.push_back(
        {absl::StrCat(kReviewExtraPrefix, key), std::move(texts)});
  }
  return principal;
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
    if (!review.ok()) co_return ReviewFailed(review.status(), "tokenreviews");
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

}  // namespace insula::auth
