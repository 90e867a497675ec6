#include "services/query_frontend/question.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "libs/labels/matcher.h"
#include "libs/promql/parser.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/answer_data.h"
#include "services/query_frontend/federate_answer.h"
#include "services/query_frontend/rules_answer.h"
#include "services/query_frontend/unlike_series.h"

namespace insula::query_frontend {
namespace {

using Question = absl::StatusOr<UpstreamQuery>;

Question ForQuery(bool range_query, ApiParams params, const Policy& policy,
                  ConfinedQueries* confined_queries) {
  UpstreamQuery query;
  ASSIGN_OR_RETURN(const std::shared_ptr<const ConfinedQuery> confined,
                   confined_queries->Confine(params.query, params, policy));
  query.cost = confined->cost.samples_per_series *
               static_cast<double>(confined->texts.size());
  if (!confined->unlike.empty()) {
    ASSIGN_OR_RETURN(query.unlike,
                     MakeUnlike(params, policy, confined->unlike));
  }
  query.texts = confined->texts;
  query.filters = confined->filters;
  // A range query of a range selector is refused by the store, in its words.
  if (range_query) {
    query.texts.resize(1);
    query.range = {*params.start, *params.end, params.step, confined->traits};
  }
  query.params = std::move(params.rest);
  // Of what is not series as they are stored, there is nothing to check; and
  // nothing to count where the tenant has no limit.
  query.in_pieces = !confined->raw && query.texts.size() == 1 &&
                    policy.limits.max_response_bytes == 0 &&
                    policy.limits.max_response_series == 0;
  query.any_matrix = query.in_pieces && range_query;
  query.read_data = ReadResult(range_query, confined->raw, policy.reads);
  return query;
}

Question ForExemplars(ApiParams params, const Policy& policy) {
  UpstreamQuery query;
  ASSIGN_OR_RETURN(ConfinedQuery confined,
                   ConfineSelectors(params.query, params, policy));
  query.cost = confined.cost.samples_per_series;
  query.texts = std::move(confined.texts);
  query.params = std::move(params.rest);
  query.read_data = ReadExemplars(policy.reads);
  return query;
}

Question ForMatches(const Route& route, ApiParams params,
                    const Policy& policy) {
  if (route.endpoint == Endpoint::kSeries && params.matches.empty()) {
    return absl::InvalidArgumentError("no match[] parameter provided");
  }
  UpstreamQuery query;
  query.params = std::move(params.rest);
  ASSIGN_OR_RETURN(std::vector<std::string> matches,
                   ConfineMatches(params.matches, policy));
  query.cost = static_cast<double>(matches.size());
  for (std::string& match : matches) {
    query.params.emplace_back("match[]", std::move(match));
  }
  switch (route.endpoint) {
    case Endpoint::kSeries:
      query.read_data = ReadSeries(policy.reads);
      break;
    case Endpoint::kLabelValues:
      query.label_name = route.label_name;
      query.read_data = ReadLabelValues(route.label_name, policy.reads);
      break;
    default:
      query.read_data = ReadNames();
  }
  return query;
}

Question ForFederate(const ApiParams& params, const Policy& policy) {
  UpstreamQuery query;
  ASSIGN_OR_RETURN(std::vector<std::string> matches,
                   ConfineMatches(params.matches, policy));
  query.cost = static_cast<double>(matches.size());
  for (std::string& match : matches) {
    query.params.emplace_back("match[]", std::move(match));
  }
  query.read_response = [format = FormatFor(params.accept),
                         reads = policy.reads,
                         max_series = policy.limits.max_response_series](
                            const http::Response& response) {
    return ReadExposition(response, format, *reads, max_series);
  };
  return query;
}

// -1 if it is not given. Its form was checked before.
int64_t Limit(const ApiParams& params, absl::string_view name) {
  int64_t limit = -1;
  return absl::SimpleAtoi(params.Get(name), &limit) ? limit : -1;
}

Question ForTargets(const ApiParams& params, const Policy& policy,
                    const AnswerOptions& options) {
  UpstreamQuery query;
  query.params = {{"state", "active"}};
  const absl::string_view pool = params.Get("scrapePool");
  if (!pool.empty()) query.params.emplace_back("scrapePool", pool);
  const absl::string_view state = params.Get("state");
  const bool active = state.empty() || state == "any" || state == "active";
  query.read_data = ReadTargets(!active, options.target_details, policy.reads);
  return query;
}

Question ForTargetMetadata(const ApiParams& params, const Policy& policy) {
  TargetMetadataRequest request;
  request.metric = std::string(params.Get("metric"));
  request.limit = Limit(params, "limit");
  const absl::string_view match = params.Get("match_target");
  if (!match.empty()) {
    absl::StatusOr<std::vector<labels::Matcher>> matchers =
        promql::ParseMetricSelector(match, ParseOptionsOf(policy));
    if (!matchers.ok()) {
      return Annotate(matchers.status(), "invalid parameter \"match_target\"");
    }
    request.match = *std::move(matchers);
  }
  UpstreamQuery query;
  if (!request.metric.empty()) {
    query.params.emplace_back("metric", request.metric);
  }
  query.read_data = ReadTargetMetadata(std::move(request), policy.reads);
  return query;
}

Question ForRules(const ApiParams& params, const Policy& policy,
                  const AnswerOptions& options) {
  ASSIGN_OR_RETURN(RulesRequest request,
                   ParseRulesRequest(params, ParseOptionsOf(policy)));
  request.show_errors = options.target_details;
  UpstreamQuery query;
  query.read_data = ReadRules(std::move(request), policy.reads);
  return query;
}

Question MakeByEndpoint(const Route& route, ApiParams params,
                        const Policy& policy, const AnswerOptions& options,
                        ConfinedQueries* confined_queries) {
  switch (route.endpoint) {
    case Endpoint::kQuery:
    case Endpoint::kQueryRange:
      return ForQuery(route.endpoint == Endpoint::kQueryRange,
                      std::move(params), policy, confined_queries);
    case Endpoint::kQueryExemplars:
      return ForExemplars(std::move(params), policy);
    case Endpoint::kSeries:
    case Endpoint::kLabels:
    case Endpoint::kLabelValues:
      return ForMatches(route, std::move(params), policy);
    case Endpoint::kFederate:
      return ForFederate(params, policy);
    case Endpoint::kTargets:
      return ForTargets(params, policy, options);
    case Endpoint::kTargetMetadata:
      return ForTargetMetadata(params, policy);
    case Endpoint::kRules:
      return ForRules(params, policy, options);
    case Endpoint::kAlerts: {
      UpstreamQuery query;
      query.read_data = ReadAlerts(policy.reads);
      return query;
    }
    default:
      return absl::InternalError("insula: no store is asked this");
  }
}

}  // namespace

absl::StatusOr<UpstreamQuery> MakeQuestion(const Route& route, ApiParams params,
                                           const Policy& policy,
                                           const AnswerOptions& options,
                                           ConfinedQueries* confined_queries) {
  Question query = MakeByEndpoint(route, std::move(params), policy, options,
                                  confined_queries);
  if (query.ok()) query->endpoint = route.endpoint;
  return query;
}

UpstreamQuery MakeReadQuestion(ReadQuestion question, const Policy& policy,
                               size_t max_bytes) {
  UpstreamQuery query;
  query.endpoint = Endpoint::kRead;
  query.cost = question.cost;
  query.body = std::move(question.body);
  query.read_response = [question = std::move(question), reads = policy.reads,
                         max_bytes](const http::Response& response) {
    return ReadReadResponse(response, question, *reads, max_bytes);
  };
  return query;
}

absl::StatusOr<UpstreamQuery> MakeNamesQuestion(
    const Policy& policy, std::shared_ptr<MetricNames> names) {
  Route route;
  route.endpoint = Endpoint::kLabelValues;
  route.label_name = std::string(labels::kMetricName);
  ASSIGN_OR_RETURN(UpstreamQuery query, ForMatches(route, ApiParams(), policy));
  query.endpoint = route.endpoint;
  query.read_data = CollectNames(std::move(names));
  return query;
}

UpstreamQuery MakeMetadataQuestion(const ApiParams& params,
                                   std::shared_ptr<const MetricNames> names,
                                   const AnswerOptions& options) {
  MetadataRequest request;
  // A store that keeps tenants apart has help texts of one of them alone.
  request.help = options.metadata_help || names == nullptr;
  request.names = std::move(names);
  request.limit = Limit(params, "limit");
  request.limit_per_metric = Limit(params, "limit_per_metric");
  UpstreamQuery query;
  query.endpoint = Endpoint::kMetadata;
  const absl::string_view metric = params.Get("metric");
  if (!metric.empty()) query.params.emplace_back("metric", metric);
  query.read_data = ReadMetadata(std::move(request));
  return query;
}

}  // namespace insula::query_frontend
