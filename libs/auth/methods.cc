#include "libs/auth/methods.h"

#include <utility>

#include "libs/auth/basic.h"
#include "libs/auth/jwt_verifier.h"
#include "libs/auth/keystone.h"
#include "libs/auth/kube_review.h"
#include "libs/http/url.h"
#include "libs/kube/client.h"
#include "libs/kube/cluster.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::auth {
namespace {

// Of a TokenReview, with all groups of a user.
constexpr size_t kMaxReviewBytes = 1 << 20;

absl::StatusOr<std::shared_ptr<Verifier>> MakeBasic(
    const BasicConfig& config, const MethodContext& context) {
  BasicVerifier::Environment environment;
  environment.executor = context.executor;
  environment.run_blocking = context.run_blocking;
  environment.steady = context.steady;
  environment.metrics = context.metrics;
  return BasicVerifier::Make(config.Options(), std::move(environment));
}

absl::StatusOr<std::shared_ptr<Verifier>> MakeKeystone(
    const KeystoneConfig& config, const MethodContext& context) {
  KeystoneVerifier::Environment environment;
  environment.executor = context.executor;
  environment.run_blocking = context.run_blocking;
  environment.clock = context.clock;
  environment.steady = context.steady;
  environment.metrics = context.metrics;
  environment.proxy = context.proxy;
  return KeystoneVerifier::Make(config.Options(), std::move(environment));
}

absl::StatusOr<std::shared_ptr<kube::Client>> MakeKubeClient(
    const KubernetesConfig& config, const MethodContext& context) {
  kube::Cluster cluster;
  absl::StatusOr<http::Url> server = http::Url::Parse(config.api_url);
  if (!server.ok()) return Annotate(server.status(), "api_url");
  cluster.server = *std::move(server);
  cluster.tls.ca_file = config.ca_file;
  cluster.token_file = config.token_file;
  kube::ClientOptions options;
  options.max_answer_bytes = kMaxReviewBytes;
  options.run_blocking = context.run_blocking;
  options.proxy = context.proxy;
  return std::make_shared<kube::Client>(std::move(cluster), std::move(options),
                                        context.executor, context.metrics);
}

absl::Status AddKubernetes(const KubernetesConfig& config,
                           const MethodContext& context, Methods* methods) {
  KubeReviewEnvironment environment;
  ASSIGN_OR_RETURN(environment.client, MakeKubeClient(config, context));
  environment.executor = context.executor;
  environment.steady = context.steady;
  environment.metrics = context.metrics;
  ASSIGN_OR_RETURN(methods->bearer,
                   KubeTokenVerifier::Make(config.Options(), environment));
  ASSIGN_OR_RETURN(methods->reviewer,
                   KubeAccessReviewer::Make(config.Options(), environment));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Methods> MakeMethods(const ListenerAuth& config,
                                    const MethodContext& context) {
  Methods methods;
  if (!config.jwt.empty()) {
    ASSIGN_OR_RETURN(
        methods.bearer,
        JwtVerifier::Make(config.jwt, context.executor, context.clock,
                          context.steady, context.metrics, context.proxy));
  }
  if (config.kubernetes.enabled()) {
    RETURN_IF_ERROR(Annotate(
        AddKubernetes(config.kubernetes, context, &methods), "kubernetes"));
  }
  if (config.keystone.enabled()) {
    auto keystone = MakeKeystone(config.keystone, context);
    if (!keystone.ok()) return Annotate(keystone.status(), "keystone");
    methods.token = *std::move(keystone);
    // Unless bearer tokens are of another method.
    if (methods.bearer == nullptr) methods.bearer = methods.token;
  }
  if (config.basic.enabled()) {
    auto basic = MakeBasic(config.basic, context);
    if (!basic.ok()) return Annotate(basic.status(), "basic.password_file");
    methods.basic = *std::move(basic);
  }
  return methods;
}

}  // namespace insula::auth
