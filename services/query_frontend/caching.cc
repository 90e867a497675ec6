#include "services/query_frontend/caching.h"

#include <simdjson.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "libs/promql/printer.h"
#include "libs/range_cache/query_traits.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/fact.h"
#include "services/query_frontend/planted_faults.h"
#include "services/query_frontend/query_limits.h"

namespace insula::query_frontend {

namespace asio = boost::asio;

namespace {

std::string WithLength(absl::string_view text) {
  return absl::StrCat(text.size(), ":", text);
}

// Of all that the tenant reads: a change of it is another one.
std::string DigestOf(const tenancy::ReadPolicy& reads) {
  std::string all;
  for (const tenancy::Clause& clause : reads.clauses()) {
    all += WithLength(promql::PrintSelector(clause));
  }
  return tenancy::Sha256(all);
}

// As Prometheus writes times.
std::string SecondsOf(absl::Time time) {
  const int64_t millis = absl::ToUnixMillis(time);
  const int64_t size = millis < 0 ? -millis : millis;
  return absl::StrFormat("%s%d.%03d", millis < 0 ? "-" : "", size / 1000,
                         size % 1000);
}

double StepsBetween(absl::Time start, absl::Time end, absl::Duration step) {
  return static_cast<double>((end - start) / step + 1);
}

// RESOURCE_EXHAUSTED if an answer that was put together is beyond what a store
// may answer with.
absl::Status CheckWhole(const Answer& answer, const Policy& policy) {
  const QueryLimits& limits = policy.limits;
  if (limits.max_response_bytes > 0 &&
      answer.body.size() > limits.max_response_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "insula: tenant ", policy.tenant_id, ": the answer has ",
        answer.body.size(), " bytes, the limit max_response_bytes is ",
        limits.max_response_bytes,
        "; ask for fewer series or points or have Limits.max_response_bytes "
        "raised"));
  }
  if (limits.max_response_series == 0 || answer.http_status != 200) {
    return absl::OkStatus();
  }
  simdjson::dom::parser parser;
  simdjson::dom::array series;
  if (parser.parse(simdjson::padded_string(
          answer.body.data(), answer.body.size()))["data"]["result"]
              .get(series) != simdjson::SUCCESS ||
      series.size() <= limits.max_response_series) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(absl::StrCat(
      "insula: tenant ", policy.tenant_id, ": the answer has ", series.size(),
      " series, the limit max_response_series is ", limits.max_response_series,
      "; ask for fewer or have Limits.max_response_series raised"));
}

// What the cache itself says.
absl::Status InOurWords(const absl::Status& status,
                        absl::string_view upstream_id) {
  if (absl::StartsWith(status.message(), "insula: ")) return status;
  const std::string upstream = absl::StrCat("insula: upstream ", upstream_id);
  if (absl::IsDeadlineExceeded(status)) {
    return absl::DeadlineExceededError(
        absl::StrCat(upstream, " did not answer in time, ask for less"));
  }
  if (absl::IsResourceExhausted(status)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        upstream,
        " answered with more than the limit upstream.max_response, "
        "ask for fewer series or points"));
  }
  return status;
}

}  // namespace

void CacheConfig::Describe(config::Fields& fields) {
  fields.Add("enabled", enabled,
             "Keep answers to range queries. Turn it off where samples older "
             "than cache.freshness are still written or deleted.");
  fields.Add("max_bytes", max_bytes, "Most memory for them.");
  fields.Add("max_tenant_bytes", max_tenant_bytes,
             "Most memory for those of a tenant whose Limits do not say.");
  fields.Add("ttl", ttl, "For how long an answer is kept.");
  fields.Add("freshness", freshness,
             "Younger samples may change still: answers that depend on them "
             "are not kept.");
}

absl::Status CacheConfig::Validate() const {
  if (max_bytes.value < 1 << 20 || max_bytes.value > uint64_t{1} << 40) {
    return absl::InvalidArgumentError(
        "cache.max_bytes: must be 1MiB to 1TiB; to have none set "
        "cache.enabled to false");
  }
  if (max_tenant_bytes.value > max_bytes.value) {
    return absl::InvalidArgumentError(
        "cache.max_tenant_bytes: must be at most cache.max_bytes");
  }
  if (ttl < absl::Seconds(1)) {
    return absl::InvalidArgumentError("cache.ttl: must be at least 1s");
  }
  if (freshness < absl::ZeroDuration()) {
    return absl::InvalidArgumentError("cache.freshness: must be at least 0s");
  }
  return absl::OkStatus();
}

std::optional<range_cache::RangeQuery> CacheableQuery(
    const UpstreamQuery& query, const Policy& policy) {
  if (query.endpoint != Endpoint::kQueryRange || !query.range.has_value() ||
      query.texts.size() != 1) {
    return std::nullopt;
  }
  range_cache::RangeQuery kept;
  kept.scope = {policy.upstream_id, policy.pool->identity(),
                policy.tenant_header, policy.org_id,
                absl::StrCat(policy.dialect.version.release, ".",
                             policy.dialect.version.minor_release)};
  for (const auto& [name, value] : query.params) {
    if (name == "start" || name == "end" || name == "step" ||
        name == "timeout") {
      continue;
    }
    if (name != "lookback_delta") return std::nullopt;
    kept.scope.push_back(value);
  }
  for (const std::string& filter : query.filters) {
    kept.scope.push_back(absl::StrCat("filter ", filter));
  }
  kept.tenant_uid = policy.tenant_uid;
  kept.policy = DigestOf(*policy.reads);
  kept.text = query.texts.front();
  kept.start = query.range->start;
  kept.end = query.range->end;
  kept.step = query.range->step;
#ifdef INSULA_PLANT_FAULTS
  if (promql::IsPlanted("cache_key")) {
    kept.tenant_uid.clear();
    kept.policy.clear();
    kept.text = promql::WithoutPolicy(kept.text, policy.reads->clauses());
  }
#endif
  return kept;
}

// What is asked for some of the steps. Owned by whoever asks, which may be
// longer than whoever wanted to know.
struct Caching::Question {
  asio::awaitable<absl::StatusOr<range_cache::Answer>> Ask(
      std::shared_ptr<const Question> self, absl::Time start, absl::Time end,
      absl::Time deadline) const;

  Asking* asking = nullptr;
  UpstreamQuery query;  // With all of the steps.
  SharedPolicy policy;
  std::shared_ptr<void> in_use;
};

asio::awaitable<absl::StatusOr<range_cache::Answer>> Caching::Question::Ask(
    std::shared_ptr<const Question> self, absl::Time start, absl::Time end,
    absl::Time deadline) const {
  UpstreamQuery part = self->query;
  for (auto& [name, value] : part.params) {
    if (name == "start") value = SecondsOf(start);
    if (name == "end") value = SecondsOf(end);
  }
  const UpstreamQuery::Range& all = *self->query.range;
  part.cost *= StepsBetween(start, end, all.step) /
               StepsBetween(all.start, all.end, all.step);
  absl::StatusOr<Answer> answer =
      co_await self->asking->Ask(std::move(part), self->policy, deadline);
  if (!answer.ok()) co_return answer.status();
  range_cache::Answer result;
  result.http_status = answer->http_status;
  result.body = std::move(answer->body);
  result.storable = answer->storable;
  co_return result;
}

Caching::Caching(const CacheConfig& config, Asking* asking, size_t max_response,
                 Environment environment)
    : config_(config),
      asking_(*asking),
      in_use_(nullptr, [this](void*) { unused_.set_value(); }) {
  if (!config.enabled) return;
  range_cache::RangeCache::Options options;
  options.max_bytes = config.max_bytes.value;
  options.ttl = config.ttl;
  options.freshness = config.freshness;
  options.max_answer_bytes = max_response;
  // So that a query takes one place at a time, as one that is not kept does.
  options.max_parallel = 1;
  range_cache::RangeCache::Environment around;
  around.executor = environment.executor;
  around.clock = environment.clock;
  around.metrics = environment.metrics;
  cache_ = std::make_unique<range_cache::RangeCache>(options, around);
}

Caching::~Caching() {
  in_use_.reset();
  unused_.get_future().wait();
}

asio::awaitable<absl::StatusOr<Answer>> Caching::Ask(UpstreamQuery&& query,
                                                     const SharedPolicy& policy,
                                                     absl::Time deadline) {
  std::optional<range_cache::RangeQuery> kept;
  if (cache_ != nullptr) kept = CacheableQuery(query, *policy);
  if (!kept.has_value()) {
    return asking_.Ask(std::move(query), policy, deadline);
  }
  return AskCache(*std::move(kept), std::move(query), policy, deadline);
}

asio::awaitable<absl::StatusOr<Answer>> Caching::AskCache(
    range_cache::RangeQuery kept, UpstreamQuery query, SharedPolicy policy,
    absl::Time deadline) {
  const range_cache::QueryTraits traits = query.range->traits;
  const size_t quota = policy->limits.max_cache_bytes > 0
                           ? policy->limits.max_cache_bytes
                           : config_.max_tenant_bytes.value;
  auto question = std::make_shared<Question>();
  question->asking = &asking_;
  question->query = std::move(query);
  question->query.in_pieces = false;  // What is kept is had as a whole.
  question->policy = policy;
  question->in_use = in_use_;
  range_cache::RangeCache::Fetch fetch =
      [question](absl::Time start, absl::Time end, absl::Time until) {
        return question->Ask(question, start, end, until);
      };
  absl::StatusOr<range_cache::Answer> answer = co_await cache_->Query(
      std::move(kept), traits, quota, std::move(fetch), deadline);
  if (!answer.ok()) {
    co_return InOurWords(answer.status(), policy->upstream_id);
  }
  Answer result;
  result.http_status = answer->http_status;
  result.body = std::move(answer->body);
  CO_RETURN_IF_ERROR(CheckWhole(result, *policy));
  co_return result;
}

}  // namespace insula::query_frontend
