#include "services/query_frontend/backend.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "libs/http/body_source.h"
#include "libs/logging/logging.h"
#include "libs/sync/run_on.h"
#include "services/query_frontend/answer_union.h"
#include "services/query_frontend/plain_matrix.h"
#include "services/query_frontend/result_filter.h"
#include "services/query_frontend/result_stream.h"

namespace insula::query_frontend {
namespace {

namespace asio = boost::asio;

// Longer results are passed on while they come.
constexpr size_t kMaxWholeBytes = size_t{256} << 10;

// To read more bytes takes longer than a millisecond.
constexpr size_t kLongAnswer = 512 << 10;

std::string PathOf(const UpstreamQuery& query) {
  switch (query.endpoint) {
    case Endpoint::kLabelValues:
      return absl::StrCat("/api/v1/label/",
                          http::PercentEncode(query.label_name), "/values");
    default:
      return std::string(InfoOf(query.endpoint).path);
  }
}

absl::string_view AcceptOf(Endpoint endpoint) {
  switch (endpoint) {
    case Endpoint::kFederate:
      return "text/plain;version=0.0.4";
    case Endpoint::kRead:
      return "application/x-protobuf, application/x-streamed-protobuf";
    default:
      return "application/json";
  }
}

bool IsJson(const http::Response& response) {
  if (response.headers.Count("Content-Type") != 1) return false;
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(
      *response.headers.Get("Content-Type"), absl::MaxSplits(';', 1));
  const absl::string_view type = absl::StripAsciiWhitespace(parts.first);
  // The other one is what a VictoriaMetrics says of a range of series.
  return absl::EqualsIgnoreCase(type, "application/json") ||
         absl::EqualsIgnoreCase(type, "application/stream+json");
}

// What a VictoriaMetrics is to know beside what a Prometheus is asked.
void AddForVictoriaMetrics(const UpstreamQuery& query, http::Params* params) {
  for (const std::string& filter : query.filters) {
    params->emplace_back("extra_filters[]", filter);
  }
  // Of a cluster: all of the data or none of it.
  params->emplace_back("deny_partial_response", "1");
  // Without it the times of the user are moved to multiples of the step.
  if (query.endpoint == Endpoint::kQueryRange) {
    params->emplace_back("nocache", "1");
  }
}

// Cache-Control that wants each request answered anew.
bool ForbidsKeeping(const http::Headers& headers) {
  for (const auto& [name, value] : headers) {
    if (absl::EqualsIgnoreCase(name, "Cache-Control")) {
      const std::string lower = absl::AsciiStrToLower(value);
      if (absl::StrContains(lower, "no-store") ||
          absl::StrContains(lower, "no-cache")) {
        return true;
      }
    }
  }
  return false;
}

}  // namespace

http::ClientRequest BuildRequest(const UpstreamQuery& query,
                                 const Policy& policy, const http::Url& base) {
  http::ClientRequest request;
  std::string form;
  if (policy.victoria_metrics) {
    http::Params params = query.params;
    AddForVictoriaMetrics(query, &params);
    form = http::EncodeForm(params);
  } else {
    form = http::EncodeForm(query.params);
  }
  request.headers.Set("Accept", AcceptOf(query.endpoint));
  request.headers.Set("X-Request-Id", query.request_id);
  if (!policy.tenant_header.empty()) {
    request.headers.Set(policy.tenant_header, policy.org_id);
  }
  if (!query.body.empty()) {
    request.method = "POST";
    request.url = base.Join(PathOf(query));
    request.headers.Set("Content-Type", "application/x-protobuf");
    request.headers.Set("Content-Encoding", "snappy");
    request.headers.Set("X-Prometheus-Remote-Read-Version", "0.1.0");
    request.body = query.body;
  } else if (!InfoOf(query.endpoint).upstream_post) {
    request.url = base.Join(PathOf(query), form);
  } else {
    request.method = "POST";
    request.url = base.Join(PathOf(query));
    request.headers.Set("Content-Type", "application/x-www-form-urlencoded");
    request.body = form;
  }
  request.max_response_bytes = policy.limits.max_response_bytes;
  return request;
}

asio::awaitable<absl::StatusOr<Answer>> Backend::Ask(UpstreamQuery* query,
                                                     const Policy* policy,
                                                     absl::Time deadline) {
  deadline = std::min(deadline, clock_.Now() + policy->timeout);
  if (query->texts.size() > 1) return AskAll(query, policy, deadline);
  if (!query->texts.empty()) {
    query->params.emplace_back("query", std::move(query->texts.front()));
  }
  return AskOne(query, policy, deadline);
}

asio::awaitable<absl::StatusOr<Answer>> Backend::AskAll(UpstreamQuery* query,
                                                        const Policy* policy,
                                                        absl::Time deadline) {
  // Without a time each request would be answered for its own.
  if (std::none_of(query->params.begin(), query->params.end(),
                   [](const auto& param) { return param.first == "time"; })) {
    query->params.emplace_back(
        "time", absl::StrFormat("%.3f", absl::ToDoubleSeconds(
                                            clock_.Now() - absl::UnixEpoch())));
  }
  const size_t own = policy->limits.max_response_bytes;
  AnswerUnion whole(own > 0 ? std::min(own, max_response_) : max_response_);
  query->params.emplace_back("query", "");
  for (std::string& text : query->texts) {
    query->params.back().second = std::move(text);
    absl::StatusOr<Answer> answer = co_await AskOne(query, policy, deadline);
    if (!answer.ok() || answer->http_status != 200) co_return answer;
    const absl::Status added = whole.Add(*answer);
    if (absl::IsResourceExhausted(added)) co_return TooLarge(*policy);
    if (!added.ok()) co_return NoAnswer(query->request_id, *policy, 200, added);
  }
  co_return std::move(whole).Finish();
}

asio::awaitable<absl::StatusOr<Answer>> Backend::AskOne(
    const UpstreamQuery* query, const Policy* policy, absl::Time deadline) {
  const absl::Time sent_at = clock_.Now();
  http::Url asked = policy->pool->base();
  backend_pool::BackendPool::Build build = [query, policy,
                                            &asked](const http::Url& base) {
    asked = base;
    http::ClientRequest request = BuildRequest(*query, *policy, base);
    if (query->in_pieces) request.max_whole_bytes = kMaxWholeBytes;
    return request;
  };
  absl::StatusOr<http::Response> response =
      co_await policy->pool->Send(std::move(build), deadline);
  metrics_.upstream_seconds.Observe(
      absl::ToDoubleSeconds(clock_.Now() - sent_at));
  // A client that went away says nothing about the store.
  if (!absl::IsCancelled(response.status())) {
    metrics_.proxy.NoteStore(asked, response.ok() ? response->status : 0,
                             clock_.Now());
  }
  if (!response.ok()) co_return ExplainFailure(response.status(), *policy);
  if (response->rest != nullptr) {
    if (response->status == 200 && IsJson(*response) &&
        ResultFilter::CanPass(response->body,
                              query->endpoint == Endpoint::kQueryRange)) {
      co_return PassOn(*query, *policy, *std::move(response));
    }
    const absl::Status rest =
        co_await http::CollectRest(&*response, max_response_);
    if (!rest.ok()) co_return ExplainFailure(rest, *policy);
  }
  if (response->body.size() > kLongAnswer) {
    auto check = [&] { return Check(*query, *policy, *std::move(response)); };
    co_return co_await sync::RunOn(executor_, std::move(check));
  }
  co_return Check(*query, *policy, *std::move(response));
}

absl::StatusOr<Answer> Backend::PassOn(const UpstreamQuery& query,
                                       const Policy& policy,
                                       http::Response response) {
  ResultFilter filter;
  const absl::StatusOr<absl::string_view> passed = filter.Pass(response.body);
  if (!passed.ok())
    return NoAnswer(query.request_id, policy, 200, passed.status());
  Answer answer;
  answer.body = std::string(*passed);
  ResultStream::Observer observer;
  observer.failed = [this, id = query.request_id,
                     policy](const absl::Status& why) {
    if (absl::IsInternal(why)) {
      NoAnswer(id, policy, 200, why).IgnoreError();
    } else {
      ExplainFailure(why, policy).IgnoreError();
    }
  };
  observer.withheld = [this, id = query.request_id,
                       policy](absl::string_view text) {
    Withheld(id, policy, text);
  };
  answer.rest = std::make_shared<ResultStream>(
      std::move(response.rest), std::move(filter), std::move(observer));
  return answer;
}

void Backend::Withheld(const std::string& request_id, const Policy& policy,
                       absl::string_view text) {
  if (!MayWarn()) return;
  logging::Warn("upstream's words withheld", {{"tenant", policy.tenant_id},
                                              {"upstream", policy.upstream_id},
                                              {"request_id", request_id},
                                              {"text", text}});
}

// A store that is down must not fill the log: one warning a second. The metrics
// count them all.
bool Backend::MayWarn() {
  const int64_t now = absl::ToUnixSeconds(clock_.Now());
  int64_t quiet_until = quiet_until_.load(std::memory_order_relaxed);
  return now >= quiet_until &&
         quiet_until_.compare_exchange_strong(quiet_until, now + 1);
}

absl::Status Backend::ExplainFailure(const absl::Status& failure,
                                     const Policy& policy) {
  if (absl::IsCancelled(failure)) return failure;
  const std::string upstream =
      absl::StrCat("insula: upstream ", policy.upstream_id);
  if (MayWarn()) {
    logging::Warn("upstream gave no answer", {{"tenant", policy.tenant_id},
                                              {"upstream", policy.upstream_id},
                                              {"err", failure}});
  }
  if (absl::IsDeadlineExceeded(failure)) {
    metrics_.upstream_timeout.Increment();
    return absl::DeadlineExceededError(
        absl::StrCat(upstream, " did not answer in time, ask for less"));
  }
  if (absl::IsResourceExhausted(failure)) {
    return TooLarge(policy);
  }
  metrics_.upstream_unreachable.Increment();
  if (absl::StartsWith(failure.message(), "insula: ")) return failure;
  return absl::UnavailableError(
      absl::StrCat(upstream, " can't be reached, try again later"));
}

absl::Status Backend::TooLarge(const Policy& policy) {
  metrics_.upstream_too_large.Increment();
  const size_t own = policy.limits.max_response_bytes;
  if (own == 0 || own >= max_response_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "insula: upstream ", policy.upstream_id,
        " answered with more than the limit upstream.max_response, which is ",
        max_response_, " bytes; ask for fewer series or points"));
  }
  return absl::ResourceExhaustedError(absl::StrCat(
      "insula: tenant ", policy.tenant_id, ": upstream ", policy.upstream_id,
      " answered with more than the limit max_response_bytes, which is ", own,
      "; ask for fewer series or points or have Limits.max_response_bytes "
      "raised"));
}

absl::Status Backend::TooManySeriesFor(const Policy& policy) {
  metrics_.upstream_too_large.Increment();
  return absl::ResourceExhaustedError(absl::StrCat(
      "insula: tenant ", policy.tenant_id, ": upstream ", policy.upstream_id,
      " answered with more series than the limit max_response_series, which "
      "is ",
      policy.limits.max_response_series,
      "; ask for fewer or have Limits.max_response_series raised"));
}

absl::StatusOr<Answer> Backend::Check(const UpstreamQuery& query,
                                      const Policy& policy,
                                      http::Response response) {
  absl::StatusOr<Answer> answer = Answer();
  if (query.read_response) {
    answer = query.read_response(response);
  } else if (!IsJson(response)) {
    answer = absl::InternalError("it is not JSON");
  } else if (query.any_matrix && response.status == 200 &&
             IsPlainMatrix(response.body)) {
    answer->body = std::move(response.body);
  } else {
    answer =
        ReadAnswer(response.status, std::move(response.body), query.read_data);
  }
  if (answer.ok()) {
    answer->storable =
        answer->withheld.empty() && !ForbidsKeeping(response.headers);
    if (!answer->withheld.empty()) {
      Withheld(query.request_id, policy, answer->withheld);
    }
    return answer;
  }
  if (absl::IsInvalidArgument(answer.status())) return answer;
  if (IsTooManySeries(answer.status())) return TooManySeriesFor(policy);
  if (absl::IsResourceExhausted(answer.status())) return TooLarge(policy);
  if (absl::IsDataLoss(answer.status())) {
    metrics_.leaks_prevented.Increment();
    logging::Error("leak prevented: answer withheld",
                   {{"tenant", policy.tenant_id},
                    {"upstream", policy.upstream_id},
                    {"endpoint", EndpointName(query.endpoint)},
                    {"request_id", query.request_id},
                    {"err", answer.status()}});
    return absl::DataLossError(absl::StrCat(
        "insula: tenant ", policy.tenant_id, ": the answer of upstream ",
        policy.upstream_id,
        " held what is not yours and was withheld, tell its operator"));
  }
  return NoAnswer(query.request_id, policy, response.status, answer.status());
}

absl::Status Backend::NoAnswer(const std::string& request_id,
                               const Policy& policy, int http_status,
                               const absl::Status& why) {
  metrics_.upstream_garbage.Increment();
  if (MayWarn()) {
    logging::Warn("upstream's answer refused",
                  {{"tenant", policy.tenant_id},
                   {"upstream", policy.upstream_id},
                   {"request_id", request_id},
                   {"code", http_status},
                   {"err", why}});
  }
  return absl::UnknownError(absl::StrCat(
      "insula: upstream ", policy.upstream_id, " answered ", http_status,
      " with what is no answer of a Prometheus: ", why.message()));
}

}  // namespace insula::query_frontend
