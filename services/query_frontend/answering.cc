#include "services/query_frontend/answering.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/query_frontend/federate_answer.h"
#include "services/query_frontend/query_limits.h"
#include "services/query_frontend/remote_read.h"
#include "services/query_frontend/several_tenants.h"

namespace insula::query_frontend {

namespace asio = boost::asio;

namespace {

absl::Status CheckOpen(Endpoint endpoint, const AnswerOptions& options) {
  if ((endpoint == Endpoint::kFederate && !options.federate) ||
      (endpoint == Endpoint::kRead && !options.remote_read)) {
    return absl::PermissionDeniedError(absl::StrCat(
        "insula: ", InfoOf(endpoint).path,
        " is not open here, its operator can set api.",
        endpoint == Endpoint::kFederate ? "federate" : "remote_read"));
  }
  return absl::OkStatus();
}

// The limit of `params`, which was checked; 0: none.
size_t LimitOf(const ApiParams& params) {
  uint32_t limit = 0;
  return absl::SimpleAtoi(params.Get("limit"), &limit) ? limit : 0;
}

// What waits for nothing is no coroutine: each request would pay for its frame.
asio::awaitable<absl::StatusOr<Answer>> Say(absl::StatusOr<Answer> answer) {
  co_return answer;
}

}  // namespace

asio::awaitable<absl::StatusOr<Answer>> Answering::Find(
    Route route, ApiParams params, std::vector<Policy> policies,
    std::string request_id, absl::Time deadline) {
  const absl::Status open = CheckOpen(route.endpoint, options_);
  if (!open.ok()) return Say(Refused(open));
  for (const Policy& policy : policies) {
    const absl::Status within =
        CheckParams(route.endpoint, params, policy.tenant_id, policy.limits);
    if (!within.ok()) return Say(Refused(within));
  }
  if (policies.size() == 1) {
    return FindForOne(
        route, std::move(params),
        std::make_shared<const Policy>(std::move(policies.front())),
        std::move(request_id), deadline);
  }
  return FindForSeveral(route, std::move(params), std::move(policies),
                        std::move(request_id), deadline);
}

absl::Status Answering::Refused(const absl::Status& why) {
  (absl::IsResourceExhausted(why) ? metrics_.refused_limit
                                  : metrics_.refused_query)
      .Increment();
  return why;
}

asio::awaitable<absl::StatusOr<Answer>> Answering::Ask(
    UpstreamQuery&& query, const SharedPolicy& policy, absl::Time deadline) {
  deadline = std::min(deadline, absl::Now() + policy->limits.timeout);
  if (policy->limits.max_response_series > 0 && query.read_data) {
    query.read_data = WithAtMost(policy->limits.max_response_series,
                                 std::move(query.read_data));
  }
  return caching_.Ask(std::move(query), policy, deadline);
}

asio::awaitable<absl::StatusOr<Answer>> Answering::FindForSeveral(
    const Route& route, ApiParams&& params, std::vector<Policy>&& policies,
    std::string&& request_id, absl::Time deadline) {
  absl::StatusOr<std::unique_ptr<Policy>> joined = JoinPolicies(policies);
  if (!joined.ok()) return Say(Refused(joined.status()));
  if (*joined != nullptr) {
    return FindForOne(route, std::move(params), *std::move(joined),
                      std::move(request_id), deadline);
  }
  const bool range_query = route.endpoint == Endpoint::kQueryRange;
  if (route.endpoint != Endpoint::kQuery && !range_query) {
    return FindUnion(route, std::move(params), std::move(policies),
                     std::move(request_id), deadline);
  }
  absl::StatusOr<ConfinedQuery> confined =
      ConfineQueryForTenants(params.query, params, policies);
  if (!confined.ok()) return Say(Refused(confined.status()));
  UpstreamQuery query;
  query.endpoint = route.endpoint;
  query.cost =
      confined->cost.samples_per_series * static_cast<double>(policies.size());
  query.params = std::move(params.rest);
  query.texts = std::move(confined->texts);
  query.read_data = ReadTenantsResult(range_query, confined->raw, policies);
  query.request_id = std::move(request_id);
  const auto all = std::make_shared<Policy>(std::move(policies.front()));
  for (size_t i = 1; i < policies.size(); ++i) {
    all->limits = Narrower(all->limits, policies[i].limits);
  }
  return Ask(std::move(query), all, deadline);
}

asio::awaitable<absl::StatusOr<Answer>> Answering::FindUnion(
    Route route, ApiParams params, std::vector<Policy> policies,
    std::string request_id, absl::Time deadline) {
  if (route.endpoint == Endpoint::kSeries && params.matches.empty()) {
    co_return Refused(
        absl::InvalidArgumentError("no match[] parameter provided"));
  }
  const size_t limit = LimitOf(params);
  const auto all = std::make_shared<TenantsUnion>(route, max_response_);
  // No store has that label; whether a tenant has series at all tells.
  if (route.label_name == kTenantLabel) route.label_name = "__name__";
  for (Policy& policy : policies) {
    ApiParams own = params;
    const absl::StatusOr<bool> asked = KeepMatchesOf(policy, &own);
    if (!asked.ok()) co_return Refused(asked.status());
    if (!*asked) continue;
    absl::StatusOr<UpstreamQuery> query = MakeQuestion(
        route, std::move(own), policy, options_, &confined_queries_);
    if (!query.ok()) co_return Refused(query.status());
    query->request_id = request_id;
    query->read_data = TenantsUnion::ReaderOf(all, policy.tenant_id,
                                              std::move(query->read_data));
    absl::StatusOr<Answer> answer = co_await Ask(
        *std::move(query), std::make_shared<const Policy>(std::move(policy)),
        deadline);
    if (!answer.ok() || answer->http_status != 200) co_return answer;
  }
  Answer answer;
  answer.body = std::move(*all).Finish(limit);
  co_return answer;
}

asio::awaitable<absl::StatusOr<Answer>> Answering::FindForOne(
    const Route& route, ApiParams&& params, const SharedPolicy& policy,
    std::string&& request_id, absl::Time deadline) {
  if (route.endpoint == Endpoint::kMetadata) {
    return FindMetadata(std::move(params), policy, std::move(request_id),
                        deadline);
  }
  if (route.endpoint == Endpoint::kRead) {
    return FindSeries(params, policy, std::move(request_id), deadline);
  }
  // As Prometheus: without any, none.
  if (route.endpoint == Endpoint::kFederate && params.matches.empty()) {
    return Say(EmptyExposition(FormatFor(params.accept)));
  }
  return AskOne(MakeQuestion(route, std::move(params), *policy, options_,
                             &confined_queries_),
                policy, std::move(request_id), deadline);
}

asio::awaitable<absl::StatusOr<Answer>> Answering::FindSeries(
    const ApiParams& params, const SharedPolicy& policy,
    std::string&& request_id, absl::Time deadline) {
  absl::StatusOr<ReadQuestion> question =
      ConfineReadRequest(params.body, *policy);
  if (!question.ok()) return Say(Refused(question.status()));
  if (question->origin.empty()) return Say(EmptyReadResponse(*question));
  return AskOne(MakeReadQuestion(*std::move(question), *policy, max_response_),
                policy, std::move(request_id), deadline);
}

asio::awaitable<absl::StatusOr<Answer>> Answering::AskOne(
    absl::StatusOr<UpstreamQuery>&& query, const SharedPolicy& policy,
    std::string&& request_id, absl::Time deadline) {
  if (!query.ok()) return Say(Refused(query.status()));
  query->request_id = std::move(request_id);
  if (query->unlike != nullptr) {
    return AskIfUnlike(*std::move(query), policy, deadline);
  }
  return Ask(*std::move(query), policy, deadline);
}

asio::awaitable<absl::StatusOr<Answer>> Answering::AskIfUnlike(
    UpstreamQuery query, SharedPolicy policy, absl::Time deadline) {
  const absl::Time now = absl::Now();
  deadline = std::min(deadline, now + policy->limits.timeout);
  const std::shared_ptr<const Unlike> unlike = std::move(query.unlike);
  for (size_t i = 0; i < unlike->selectors.size(); ++i) {
    std::optional<absl::StatusOr<Answer>> instead =
        co_await FindAlike(unlike, i, query.request_id, policy, now, deadline);
    if (instead.has_value()) co_return *std::move(instead);
  }
  co_return co_await Ask(std::move(query), policy, deadline);
}

asio::awaitable<std::optional<absl::StatusOr<Answer>>> Answering::FindAlike(
    std::shared_ptr<const Unlike> unlike, size_t index, std::string request_id,
    SharedPolicy policy, absl::Time now, absl::Time deadline) {
  const auto compared = std::make_shared<ComparedSeries>();
  for (int step = 0; step < 2; ++step) {
    const bool by_name = step == 0;
    UpstreamQuery first =
        by_name ? AskForNames(*unlike, index, *policy, now, compared)
                : AskForSeries(*unlike, index, *policy, now, compared);
    first.request_id = request_id;
    absl::StatusOr<Answer> answer =
        co_await Ask(std::move(first), policy, deadline);
    if (!answer.ok() || answer->http_status != 200) {
      metrics_.unnamed_unknown.Increment();
      co_return answer;
    }
    if (answer->warned || compared->too_many) {
      metrics_.unnamed_unknown.Increment();
      co_return Refused(CannotTellApart(
          *unlike, index, *policy,
          compared->too_many
              ? absl::StrCat("and of more than ", kMaxCompared, " series")
              : "and the store does not say of all series which they are"));
    }
    if (by_name && !compared->several_names) {
      metrics_.unnamed_of_one_name.Increment();
      co_return std::nullopt;
    }
  }
  if (!compared->alike) {
    metrics_.unnamed_unlike.Increment();
    co_return std::nullopt;
  }
  metrics_.unnamed_alike.Increment();
  co_return Refused(
      CannotTellApart(*unlike, index, *policy,
                      "and two of its series differ in nothing but the name"));
}

asio::awaitable<absl::StatusOr<Answer>> Answering::FindMetadata(
    ApiParams params, SharedPolicy policy, std::string request_id,
    absl::Time deadline) {
  std::shared_ptr<MetricNames> names;
  if (!policy->reads->reads_whole_store()) {
    names = std::make_shared<MetricNames>();
    absl::StatusOr<UpstreamQuery> first = MakeNamesQuestion(*policy, names);
    if (!first.ok()) co_return first.status();
    first->request_id = request_id;
    absl::StatusOr<Answer> answer =
        co_await Ask(*std::move(first), policy, deadline);
    if (!answer.ok() || answer->http_status != 200) co_return answer;
  }
  UpstreamQuery query =
      MakeMetadataQuestion(params, std::move(names), options_);
  query.request_id = std::move(request_id);
  co_return co_await Ask(std::move(query), policy, deadline);
}

}  // namespace insula::query_frontend
