#include "services/query_frontend/api_handler.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/http/status_code.h"
#include "libs/logging/logging.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/json.h"

namespace insula::query_frontend {
namespace {

namespace asio = boost::asio;
namespace v1 = ::insula::registry::v1;

// Grafana decides by it which parameters to send; the grammar is this one's.
constexpr absl::string_view kPrometheusVersion = "2.42.0";

// Kept back from the client's deadline, to send an answer of our own in.
constexpr absl::Duration kAnswerTime = absl::Milliseconds(100);

int HttpStatusOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnknown:  // Garbage of an upstream.
      return 502;
    case absl::StatusCode::kFailedPrecondition:  // Good, but not confinable.
    case absl::StatusCode::kResourceExhausted:   // More than may be sent.
      return 422;
    case absl::StatusCode::kDataLoss:  // A leak, prevented.
      return 500;
    default:
      return http::ToHttpStatus(status.code());
  }
}

http::Response JsonResponse(int http_status, std::string body) {
  http::Response response;
  response.status = http_status;
  response.headers.Set("Content-Type", "application/json");
  response.headers.Set("Cache-Control", "no-store");
  response.body = std::move(body);
  return response;
}

}  // namespace

ApiHandler::ApiHandler(SnapshotSource snapshots, const Clock* clock,
                       Backend* backend, Metrics* metrics)
    : snapshots_(std::move(snapshots)),
      clock_(*clock),
      backend_(*backend),
      metrics_(*metrics) {}

std::optional<http::Response> ApiHandler::Admit(
    const http::Request& request, const auth::Authenticator* auth) {
  if (request.method == "GET") return std::nullopt;
  const Route route = FindRoute(request.path());
  std::optional<http::Response> response;
  if (const auto refusal = CheckRoute(route, request.method)) {
    response = Refuse(*refusal);
    if (refusal->http_status == 405) {
      response->headers.Set("Allow", AllowedMethods(route.endpoint));
    }
  } else if (auto known = auth->TryNow(request, snapshots_(), v1::ROLE_READ,
                                       clock_.Now())) {
    const auto caller = CheckCaller(*std::move(known));
    if (!caller.ok()) response = RefuseCaller(caller.status());
  }
  if (response) {
    metrics_.Requests(route.endpoint, response->status).Increment();
  }
  return response;
}

asio::awaitable<http::Response> ApiHandler::Handle(
    http::Request request, const auth::Authenticator* auth) {
  const absl::Time begun_at = clock_.Now();
  const Route route = FindRoute(request.path());
  const std::string id = request.id;
  http::Response response = co_await Dispatch(route, std::move(request), auth);
  metrics_.Requests(route.endpoint, response.status).Increment();
  logging::Debug(
      "answered",
      {{"request_id", id},
       {"endpoint", EndpointName(route.endpoint)},
       {"tenant", response.headers.Get("X-Insula-Tenant").value_or("")},
       {"code", response.status},
       {"duration", clock_.Now() - begun_at}});
  co_return response;
}

asio::awaitable<http::Response> ApiHandler::Dispatch(
    Route route, http::Request request, const auth::Authenticator* auth) {
  if (const auto refusal = CheckRoute(route, request.method)) {
    http::Response response = Refuse(*refusal);
    if (refusal->http_status == 405) {
      response.headers.Set("Allow", AllowedMethods(route.endpoint));
    }
    co_return response;
  }
  if (route.endpoint == Endpoint::kHealthy ||
      route.endpoint == Endpoint::kReady) {
    co_return OwnAnswer(route.endpoint);
  }
  auto known = auth->TryNow(request, snapshots_(), v1::ROLE_READ, clock_.Now());
  if (!known.has_value()) {
    known = co_await auth->Authenticate(&request, snapshots_(), v1::ROLE_READ,
                                        clock_.Now());
  }
  absl::StatusOr<auth::Caller> caller = CheckCaller(*std::move(known));
  if (!caller.ok()) co_return RefuseCaller(caller.status());
  const std::string tenant_id = caller->tenant->id.value();
  http::Response response;
  if (route.endpoint == Endpoint::kBuildInfo) {
    response = JsonResponse(200, BuildInfoJson(kPrometheusVersion));
  } else {
    response = co_await AskUpstream(std::move(route), std::move(request),
                                    *std::move(caller));
  }
  response.headers.Set("X-Insula-Tenant", tenant_id);
  co_return response;
}

std::optional<ApiHandler::Refusal> ApiHandler::CheckRoute(
    const Route& route, absl::string_view method) {
  if (route.endpoint == Endpoint::kOther) {
    return Refusal{route.http_status, route.error, &metrics_.refused_path};
  }
  if (IsAllowed(route.endpoint, method)) return std::nullopt;
  return Refusal{405,
                 absl::StrCat("insula: ", EndpointName(route.endpoint),
                              " takes ", AllowedMethods(route.endpoint)),
                 &metrics_.refused_method};
}

// Too many is for a while here, that of failed attempts: 429, not 422.
http::Response ApiHandler::RefuseCaller(const absl::Status& why) {
  return Refuse({http::ToHttpStatus(why.code()), std::string(why.message()),
                 &metrics_.refused_credentials});
}

absl::StatusOr<auth::Caller> ApiHandler::CheckCaller(
    absl::StatusOr<auth::Caller> caller) {
  if (!caller.ok()) return Annotate(caller.status(), "insula");
  if (caller->tenant == nullptr) {
    return absl::PermissionDeniedError(
        "insula: this credential stands for no one tenant, read with a binding "
        "that "
        "has no claim rule");
  }
  return caller;
}

// Load balancers ask this; whether the dependencies are there is /readyz of the
// admin listener.
http::Response ApiHandler::OwnAnswer(Endpoint endpoint) {
  if (endpoint == Endpoint::kReady && snapshots_()->revision() == 0) {
    return JsonResponse(
        503, ErrorJson("unavailable",
                       "insula: no copy of the registry yet, see whether the "
                       "tenant-registry runs"));
  }
  return http::TextResponse(200, endpoint == Endpoint::kReady
                                     ? "Insula query-frontend is Ready.\n"
                                     : "Insula query-frontend is Healthy.\n");
}

absl::StatusOr<UpstreamQuery> ApiHandler::Confine(const Route& route,
                                                  ApiParams params,
                                                  const Policy& policy) {
  UpstreamQuery query;
  query.endpoint = route.endpoint;
  query.label_name = route.label_name;
  query.params = std::move(params.rest);
  if (route.endpoint == Endpoint::kQuery ||
      route.endpoint == Endpoint::kQueryRange) {
    ASSIGN_OR_RETURN(query.texts, ConfineQuery(params.query, policy));
    // A range query of a range selector is refused by the store, in its words.
    if (route.endpoint == Endpoint::kQueryRange) query.texts.resize(1);
    return query;
  }
  if (route.endpoint == Endpoint::kSeries && params.matches.empty()) {
    return absl::InvalidArgumentError("no match[] parameter provided");
  }
  ASSIGN_OR_RETURN(std::vector<std::string> matches,
                   ConfineMatches(params.matches, policy));
  for (std::string& match : matches) {
    query.params.emplace_back("match[]", std::move(match));
  }
  return query;
}

asio::awaitable<http::Response> ApiHandler::AskUpstream(Route route,
                                                        http::Request request,
                                                        auth::Caller caller) {
  if (request.method == "POST" && !HasReadableBody(request)) {
    co_return Refuse(
        {415,
         "insula: the body must be application/x-www-form-urlencoded in UTF-8",
         &metrics_.refused_parameter});
  }
  absl::StatusOr<Policy> policy = PolicyOf(*caller.tenant, *caller.snapshot);
  if (!policy.ok()) co_return Refuse(policy.status(), &metrics_.refused_policy);
  absl::StatusOr<ApiParams> params = ParseParams(route.endpoint, request);
  if (!params.ok()) {
    co_return Refuse(params.status(), &metrics_.refused_parameter);
  }
  absl::StatusOr<UpstreamQuery> query =
      Confine(route, *std::move(params), *policy);
  if (!query.ok()) co_return Refuse(query.status(), &metrics_.refused_query);
  query->request_id = request.id;
  absl::StatusOr<Answer> answer = co_await backend_.Ask(
      *std::move(query), *std::move(policy), request.deadline - kAnswerTime);
  if (!answer.ok()) co_return Refuse(answer.status(), nullptr);
  co_return JsonResponse(answer->http_status, std::move(answer->body));
}

http::Response ApiHandler::Refuse(const Refusal& refusal) {
  if (refusal.reason != nullptr) refusal.reason->Increment();
  http::Response response =
      JsonResponse(refusal.http_status,
                   ErrorJson(ErrorTypeOf(refusal.http_status), refusal.error));
  if (refusal.http_status == 401) {
    response.headers.Set("WWW-Authenticate", "Bearer");
  }
  return response;
}

http::Response ApiHandler::Refuse(const absl::Status& why,
                                  metrics::Counter* reason) {
  return Refuse({HttpStatusOf(why), std::string(why.message()), reason});
}

}  // namespace insula::query_frontend
