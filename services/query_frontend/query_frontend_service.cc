#include "services/query_frontend/query_frontend_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "libs/http/body_source.h"
#include "libs/http/request_id.h"
#include "libs/http/url.h"
#include "libs/rpc/serve.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/explain.h"
#include "services/query_frontend/request_book.h"

namespace insula::query_frontend {
namespace {

namespace asio = boost::asio;
namespace v1 = query::v1;

using google::protobuf::Duration;
using google::protobuf::Timestamp;

// The parameters of a request of the HTTP API. What is wrong with their values
// that API says; here only what it can't be asked.
class Form {
 public:
  void Add(std::string name, std::string value) {
    params_.emplace_back(std::move(name), std::move(value));
  }
  void AddLimit(uint32_t limit) {
    if (limit > 0) Add("limit", absl::StrCat(limit));
  }
  // Not set: not added.
  void AddTime(std::string name, bool set, const Timestamp& time) {
    if (!set) return;
    const absl::Time at =
        absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
    Add(std::move(name),
        absl::FormatTime("%Y-%m-%dT%H:%M:%E9SZ", at, absl::UTCTimeZone()));
  }
  void AddDuration(std::string name, bool set, const Duration& duration) {
    if (!set) return;
    Add(std::move(name),
        absl::StrFormat("%d.%09d", duration.seconds(), duration.nanos()));
  }

  http::Request To(absl::string_view path) const {
    http::Request request;
    request.method = "POST";
    request.target = std::string(path);
    request.headers.Set("Content-Type", "application/x-www-form-urlencoded");
    request.body = http::Buffer(absl::string_view(http::EncodeForm(params_)));
    request.peer.address = "grpc";
    return request;
  }

 private:
  http::Params params_;
};

absl::Status CheckDuration(absl::string_view name, const Duration& duration) {
  if (duration.seconds() >= 0 && duration.nanos() >= 0 &&
      duration.nanos() < 1'000'000'000) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": must be a duration that is not negative"));
}

absl::StatusCode CodeOf(int http_status) {
  switch (http_status) {
    case 400:
    case 413:
      return absl::StatusCode::kInvalidArgument;
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 422:
      return absl::StatusCode::kFailedPrecondition;
    case 429:
      return absl::StatusCode::kResourceExhausted;
    case 499:
      return absl::StatusCode::kCancelled;
    case 500:
      return absl::StatusCode::kInternal;
    case 503:
      return absl::StatusCode::kUnavailable;
    case 504:
      return absl::StatusCode::kDeadlineExceeded;
    default:
      return absl::StatusCode::kUnknown;
  }
}

}  // namespace

QueryFrontendService::QueryFrontendService(SnapshotSource snapshots,
                                           Pools* pools, ApiHandler* handler,
                                           absl::Duration timeout,
                                           size_t max_response,
                                           asio::any_io_executor executor)
    : snapshots_(std::move(snapshots)),
      pools_(*pools),
      handler_(handler),
      timeout_(timeout),
      max_response_(max_response),
      executor_(std::move(executor)) {}

grpc::ServerUnaryReactor* QueryFrontendService::Explain(
    grpc::CallbackServerContext* context, const v1::ExplainRequest* request,
    v1::ExplainResponse* response) {
  return rpc::Serve(context, request, executor_,
                    HandleExplain(request, response));
}

asio::awaitable<absl::Status> QueryFrontendService::HandleExplain(
    const v1::ExplainRequest* request, v1::ExplainResponse* response) {
  const std::shared_ptr<const tenancy::Snapshot> snapshot = snapshots_();
  CO_ASSIGN_OR_RETURN(*response, ExplainQuery(*request, *snapshot, &pools_));
  co_return absl::OkStatus();
}

grpc::ServerUnaryReactor* QueryFrontendService::Query(
    grpc::CallbackServerContext* context, const v1::QueryRequest* request,
    v1::QueryResponse* response) {
  Form form;
  form.Add("query", request->query());
  form.AddTime("time", request->has_time(), request->time());
  form.AddDuration("timeout", request->has_timeout(), request->timeout());
  form.AddLimit(request->limit());
  absl::StatusOr<http::Request> asked = form.To("/api/v1/query");
  const absl::Status timeout = CheckDuration("timeout", request->timeout());
  if (!timeout.ok()) asked = timeout;
  return rpc::Serve(
      context, request, executor_,
      Ask(request->tenant_id(), std::move(asked),
          absl::FromChrono(context->deadline()), response->mutable_json()));
}

grpc::ServerUnaryReactor* QueryFrontendService::QueryRange(
    grpc::CallbackServerContext* context, const v1::QueryRangeRequest* request,
    v1::QueryRangeResponse* response) {
  Form form;
  form.Add("query", request->query());
  form.AddTime("start", request->has_start(), request->start());
  form.AddTime("end", request->has_end(), request->end());
  form.AddDuration("step", request->has_step(), request->step());
  form.AddDuration("timeout", request->has_timeout(), request->timeout());
  form.AddLimit(request->limit());
  absl::StatusOr<http::Request> asked = form.To("/api/v1/query_range");
  absl::Status durations = CheckDuration("step", request->step());
  durations.Update(CheckDuration("timeout", request->timeout()));
  if (!durations.ok()) asked = durations;
  return rpc::Serve(
      context, request, executor_,
      Ask(request->tenant_id(), std::move(asked),
          absl::FromChrono(context->deadline()), response->mutable_json()));
}

grpc::ServerUnaryReactor* QueryFrontendService::Series(
    grpc::CallbackServerContext* context, const v1::SeriesRequest* request,
    v1::SeriesResponse* response) {
  Form form;
  for (const std::string& match : request->match()) form.Add("match[]", match);
  form.AddTime("start", request->has_start(), request->start());
  form.AddTime("end", request->has_end(), request->end());
  form.AddLimit(request->limit());
  return rpc::Serve(
      context, request, executor_,
      Ask(request->tenant_id(), form.To("/api/v1/series"),
          absl::FromChrono(context->deadline()), response->mutable_json()));
}

asio::awaitable<absl::Status> QueryFrontendService::Ask(
    std::string tenant_id, absl::StatusOr<http::Request> asked,
    absl::Time deadline, std::string* json) {
  CO_ASSIGN_OR_RETURN(http::Request request, std::move(asked));
  request.id = http::RandomRequestId();
  request.deadline = std::min(deadline, absl::Now() + timeout_);
  http::Response response =
      co_await handler_->HandleFor(std::move(tenant_id), std::move(request));
  // A message has no pieces.
  const absl::Status rest =
      co_await http::CollectRest(&response, max_response_);
  if (absl::IsResourceExhausted(rest)) {
    co_return absl::FailedPreconditionError(absl::StrCat(
        "insula: the answer is longer than upstream.max_response, which is ",
        max_response_, " bytes; ask for fewer series or points, or over HTTP"));
  }
  if (!rest.ok()) co_return Annotate(rest, "insula: the answer broke off");
  if (response.status == 200) {
    *json = std::move(response.body);
    co_return absl::OkStatus();
  }
  co_return absl::Status(CodeOf(response.status), ErrorIn(response));
}

}  // namespace insula::query_frontend
