#include "services/query_frontend/api_handler.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/auth/caller.h"
#include "libs/http/status_code.h"
#include "libs/status/annotate.h"
#include "services/query_frontend/json.h"
#include "services/query_frontend/local_answer.h"
#include "services/query_frontend/params.h"
#include "services/query_frontend/policy.h"

namespace insula::query_frontend {
namespace {

namespace asio = boost::asio;
namespace v1 = ::insula::registry::v1;

// Kept back from the client's deadline, to send an answer of our own in.
constexpr absl::Duration kAnswerTime = absl::Milliseconds(100);

int HttpStatusOf(const absl::Status& status) {
  if (RetryAfterOf(status).has_value()) return 429;
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

http::Response JsonResponse(
    int http_status, std::string body,
    absl::string_view content_type = "application/json") {
  http::Response response;
  response.status = http_status;
  response.headers.Add("Content-Type", content_type);
  response.headers.Add("Cache-Control", "no-store");
  response.body = std::move(body);
  return response;
}

asio::awaitable<http::Response> Say(http::Response response) {
  co_return response;
}

}  // namespace

ApiHandler::ApiHandler(SnapshotSource snapshots, const Clock* clock,
                       Pools* pools, Admission* admission, Answering* answering,
                       RequestBook* book, const OperatorPages* pages,
                       Metrics* metrics)
    : snapshots_(std::move(snapshots)),
      clock_(*clock),
      pools_(*pools),
      admission_(*admission),
      answering_(*answering),
      book_(*book),
      pages_(*pages),
      metrics_(*metrics) {}

std::optional<http::Response> ApiHandler::Admit(
    const http::Request& request, const auth::Authenticator* auth) {
  if (request.method == "GET") return std::nullopt;
  const Route route = FindRoute(request.path());
  std::optional<http::Response> response;
  if (const auto refusal = CheckRoute(route, request.method)) {
    response = Refuse(*refusal);
    if (refusal->http_status == 405) {
      response->headers.Set("Allow", InfoOf(route.endpoint).methods);
    }
  } else {
    const auto inquiries = InquiriesOf(&request, route, auth->config());
    if (!inquiries.ok()) {
      response = Refuse(inquiries.status(), &metrics_.refused_parameter);
    } else if (const auto known = TryCallers(*inquiries, *auth);
               known.has_value() && !known->ok()) {
      response = RefuseCaller(known->status());
    }
  }
  if (response) {
    book_.NoteAnswer(book_.Begin(route.endpoint, request), *response);
  }
  return response;
}

asio::awaitable<http::Response> ApiHandler::Handle(
    http::Request request, const auth::Authenticator* auth) {
  const Route route = FindRoute(request.path());
  RequestFacts facts = book_.Begin(route.endpoint, request);
  http::Response response = co_await Dispatch(&route, &request, auth, &facts);
  if (!facts.tenants.empty()) {
    response.headers.Set("X-Insula-Tenant", absl::StrJoin(facts.tenants, "|"));
  }
  book_.NoteAnswer(facts, response);
  co_return response;
}

asio::awaitable<http::Response> ApiHandler::HandleFor(std::string tenant_id,
                                                      http::Request request) {
  const Route route = FindRoute(request.path());
  RequestFacts facts = book_.Begin(route.endpoint, request);
  absl::StatusOr<auth::Caller> caller =
      auth::CallerWithHeader(snapshots_(), tenant_id, v1::ROLE_READ);
  http::Response response;
  if (!caller.ok()) {
    response = RefuseCaller(Annotate(caller.status(), "insula"));
  } else if (const auto refusal = CheckRoute(route, request.method)) {
    response = Refuse(*refusal);
  } else {
    std::vector<auth::Caller> callers = {*std::move(caller)};
    response =
        co_await AnswerCallers(&route, &request, std::move(callers), &facts);
  }
  book_.NoteAnswer(facts, response);
  co_return response;
}

asio::awaitable<http::Response> ApiHandler::Dispatch(
    const Route* route, const http::Request* request,
    const auth::Authenticator* auth, RequestFacts* facts) {
  if (const auto refusal = CheckRoute(*route, request->method)) {
    http::Response response = Refuse(*refusal);
    if (refusal->http_status == 405) {
      response.headers.Set("Allow", InfoOf(route->endpoint).methods);
    }
    return Say(std::move(response));
  }
  if (route->endpoint == Endpoint::kHealthy ||
      route->endpoint == Endpoint::kReady) {
    return Say(OwnAnswer(route->endpoint));
  }
  if (IsForOperators(route->endpoint)) {
    return AnswerOperator(route->endpoint, request, auth, facts);
  }
  auto inquiries = InquiriesOf(request, *route, auth->config());
  if (!inquiries.ok()) {
    return Say(Refuse(inquiries.status(), &metrics_.refused_parameter));
  }
  auto callers = TryCallers(*inquiries, *auth);
  if (!callers.has_value()) {
    return AnswerUnknown(route, request, *std::move(inquiries), auth, facts);
  }
  if (!callers->ok()) return Say(RefuseCaller(callers->status()));
  return AnswerCallers(route, request, **std::move(callers), facts);
}

asio::awaitable<http::Response> ApiHandler::AnswerUnknown(
    const Route* route, const http::Request* request,
    std::vector<Inquiry> inquiries, const auth::Authenticator* auth,
    RequestFacts* facts) {
  auto callers = co_await FindCallers(&inquiries, auth);
  if (!callers.ok()) co_return RefuseCaller(callers.status());
  co_return co_await AnswerCallers(route, request, *std::move(callers), facts);
}

asio::awaitable<http::Response> ApiHandler::AnswerOperator(
    Endpoint endpoint, const http::Request* request,
    const auth::Authenticator* auth, RequestFacts* facts) {
  const std::shared_ptr<const tenancy::Snapshot> snapshot = snapshots_();
  auto caller =
      auth->TryNow(*request, snapshot, v1::ROLE_OPERATOR, clock_.Now());
  if (!caller.has_value()) {
    caller = co_await auth->Authenticate(request, snapshot, v1::ROLE_OPERATOR,
                                         clock_.Now());
  }
  if (!caller->ok()) {
    co_return RefuseCaller(Annotate(caller->status(), "insula"));
  }
  facts->caller = (*caller)->identity;
  absl::StatusOr<ApiParams> params = ParseParams(endpoint, *request);
  if (!params.ok()) {
    co_return Refuse(params.status(), &metrics_.refused_parameter);
  }
  absl::StatusOr<Page> page = co_await pages_.Show(
      endpoint, *std::move(params), request->id, request->deadline);
  if (!page.ok()) co_return Refuse(page.status(), nullptr);
  http::Response response =
      JsonResponse(200, std::move(page->body), page->content_type);
  // What tenants wrote may be in it: nothing is to guess that it is a page.
  response.headers.Set("X-Content-Type-Options", "nosniff");
  co_return response;
}

std::optional<absl::StatusOr<std::vector<auth::Caller>>> ApiHandler::TryCallers(
    const std::vector<Inquiry>& inquiries, const auth::Authenticator& auth) {
  const std::shared_ptr<const tenancy::Snapshot> snapshot = snapshots_();
  std::vector<auth::Caller> callers;
  for (const Inquiry& inquiry : inquiries) {
    auto known =
        auth.TryNow(inquiry.request(), snapshot, v1::ROLE_READ, clock_.Now());
    if (!known.has_value()) return std::nullopt;
    absl::StatusOr<auth::Caller> caller =
        CheckCaller(*std::move(known), inquiry, auth);
    if (!caller.ok()) return caller.status();
    callers.push_back(*std::move(caller));
  }
  return callers;
}

asio::awaitable<absl::StatusOr<std::vector<auth::Caller>>>
ApiHandler::FindCallers(const std::vector<Inquiry>* inquiries,
                        const auth::Authenticator* auth) {
  const std::shared_ptr<const tenancy::Snapshot> snapshot = snapshots_();
  std::vector<auth::Caller> callers;
  for (const Inquiry& inquiry : *inquiries) {
    absl::StatusOr<auth::Caller> caller = co_await auth->Authenticate(
        &inquiry.request(), snapshot, v1::ROLE_READ, clock_.Now());
    caller = CheckCaller(std::move(caller), inquiry, *auth);
    if (!caller.ok()) co_return caller.status();
    callers.push_back(*std::move(caller));
  }
  co_return callers;
}

std::optional<ApiHandler::Refusal> ApiHandler::CheckRoute(
    const Route& route, absl::string_view method) {
  if (route.endpoint == Endpoint::kOther) {
    return Refusal{route.http_status, route.error, &metrics_.refused_path};
  }
  if (IsAllowed(route.endpoint, method)) return std::nullopt;
  return Refusal{405,
                 absl::StrCat("insula: ", EndpointName(route.endpoint),
                              " takes ", InfoOf(route.endpoint).methods),
                 &metrics_.refused_method};
}

// Too many is for a while here, that of failed attempts: 429, not 422.
http::Response ApiHandler::RefuseCaller(const absl::Status& why) {
  return Refuse({http::ToHttpStatus(why.code()), std::string(why.message()),
                 &metrics_.refused_credentials});
}

absl::StatusOr<auth::Caller> ApiHandler::CheckCaller(
    absl::StatusOr<auth::Caller> caller, const Inquiry& inquiry,
    const auth::Authenticator& auth) {
  if (!caller.ok()) return Annotate(caller.status(), "insula");
  if (caller->tenant == nullptr) {
    const absl::Status why = absl::PermissionDeniedError(
        "insula: this credential stands for no one tenant, read with a binding "
        "that has no claim rule");
    auth.NoteRefusal(inquiry.request(), *caller, why, "no_one_tenant");
    return why;
  }
  const absl::Status named = inquiry.Check(*caller);
  if (!named.ok()) {
    auth.NoteRefusal(inquiry.request(), *caller, named, "other_tenant");
    return named;
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

asio::awaitable<http::Response> ApiHandler::AnswerCallers(
    const Route* route, const http::Request* request,
    std::vector<auth::Caller> callers, RequestFacts* facts) {
  facts->caller = callers.front().identity;
  for (const auth::Caller& caller : callers) {
    facts->tenants.push_back(caller.tenant->id.value());
  }
  for (const auth::Caller& caller : callers) {
    const absl::Status now = admission_.CheckRates(
        route->endpoint, *caller.tenant,
        caller.snapshot->LimitsOf(*caller.tenant), *request);
    if (!now.ok()) co_return Refuse(now, nullptr);
  }
  if (request->method == "POST" &&
      !HasReadableBody(route->endpoint, *request)) {
    co_return Refuse(
        {415,
         InfoOf(route->endpoint).takes_block()
             ? "insula: the body must be application/x-protobuf, snappy"
             : "insula: the body must be application/x-www-form-urlencoded in "
               "UTF-8",
         &metrics_.refused_parameter});
  }
  absl::StatusOr<ApiParams> params = ParseParams(route->endpoint, *request);
  if (!params.ok()) {
    co_return Refuse(params.status(), &metrics_.refused_parameter);
  }
  facts->query = params->Summary();
  if (callers.size() > 1 && !InfoOf(route->endpoint).several_tenants) {
    co_return Refuse({400,
                      absl::StrCat("insula: ", EndpointName(route->endpoint),
                                   " takes one tenant at a time, name one"),
                      &metrics_.refused_parameter});
  }
  if (IsLocal(route->endpoint)) {
    const absl::StatusOr<std::string> json =
        LocalAnswer(route->endpoint, *params, callers.front(), &pools_);
    if (!json.ok()) co_return Refuse(json.status(), &metrics_.refused_query);
    co_return JsonResponse(200, *json);
  }
  std::vector<Policy> policies;
  for (const auth::Caller& caller : callers) {
    absl::StatusOr<Policy> policy =
        PolicyOf(*caller.tenant, *caller.snapshot, &pools_);
    if (!policy.ok()) {
      co_return Refuse(policy.status(), &metrics_.refused_policy);
    }
    policies.push_back(*std::move(policy));
  }
  const QueryWatch::Running running = book_.Watch(*facts);
  absl::StatusOr<Answer> answer =
      co_await answering_.Find(*route, *std::move(params), std::move(policies),
                               request->id, request->deadline - kAnswerTime);
  if (!answer.ok()) co_return Refuse(answer.status(), nullptr);
  http::Response response = JsonResponse(
      answer->http_status, std::move(answer->body), answer->content_type);
  response.rest = std::move(answer->rest);
  if (!answer->content_encoding.empty()) {
    response.headers.Set("Content-Encoding", answer->content_encoding);
  }
  co_return response;
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
  http::Response response =
      Refuse({HttpStatusOf(why), std::string(why.message()), reason});
  if (const auto wait = RetryAfterOf(why)) {
    response.headers.Set("Retry-After",
                         absl::StrCat(absl::ToInt64Seconds(
                             absl::Ceil(*wait, absl::Seconds(1)))));
  }
  return response;
}

}  // namespace insula::query_frontend
