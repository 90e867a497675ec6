#include "services/query_frontend/request_book.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_join.h"
#include "libs/logging/logging.h"

namespace insula::query_frontend {
namespace {

absl::string_view ReasonOf(int status) {
  switch (status) {
    case 400:
      return "bad_request";
    case 401:
      return "credentials";
    case 403:
      return "forbidden";
    case 404:
      return "not_found";
    case 405:
      return "method";
    case 415:
      return "content_type";
    case 422:
      return "not_possible";
    case 429:
      return "limit";
    case 499:
      return "client_gone";
    case 500:
      return "internal";
    case 502:
      return "upstream";
    case 503:
      return "unavailable";
    case 504:
      return "timeout";
    default:
      return "other";
  }
}

QueryWatch::Query QueryOf(const RequestFacts& facts) {
  return {absl::StrJoin(facts.tenants, "|"),
          facts.caller,
          std::string(EndpointName(facts.endpoint)),
          facts.query,
          facts.id,
          facts.begun_at};
}

}  // namespace

std::string ErrorIn(const http::Response& response) {
  const auto json =
      nlohmann::json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return "";
  const auto error = json.find("error");
  return error != json.end() && error->is_string() ? error->get<std::string>()
                                                   : "";
}

RequestBook::RequestBook(RequestBookOptions options, const Clock* clock,
                         Metrics* metrics)
    : options_(options),
      clock_(*clock),
      metrics_(*metrics),
      queries_({.slow = options.slow_query}) {}

RequestFacts RequestBook::Begin(Endpoint endpoint,
                                const http::Request& request) const {
  RequestFacts facts;
  facts.endpoint = endpoint;
  facts.method = request.method;
  facts.id = request.id;
  facts.begun_at = clock_.Now();
  return facts;
}

QueryWatch::Running RequestBook::Watch(const RequestFacts& facts) {
  return queries_.Begin(QueryOf(facts));
}

void RequestBook::NoteAnswer(const RequestFacts& facts,
                             const http::Response& response) {
  const absl::Duration time = clock_.Now() - facts.begun_at;
  metrics_.Requests(facts.endpoint, response.status).Increment();
  metrics_.proxy.NoteRequest(facts.endpoint, facts.method, response.status,
                             time);
  if (response.status >= 400) NoteRefusal(facts, response);
  const logging::Level level =
      options_.request_log ? logging::Level::kInfo : logging::Level::kDebug;
  if (logging::Enabled(level)) {
    logging::LogSoon(level, "answered",
                     {{"request_id", facts.id},
                      {"endpoint", EndpointName(facts.endpoint)},
                      {"tenant", absl::StrJoin(facts.tenants, "|")},
                      {"caller", facts.caller},
                      {"code", response.status},
                      {"bytes", response.body.size()},
                      {"duration", time}});
  }
  if (facts.query.empty() || !queries_.IsSlow(time)) return;
  queries_.NoteSlow(
      {QueryOf(facts), time, response.status, response.body.size()});
  logging::Warn("slow query", {{"request_id", facts.id},
                               {"endpoint", EndpointName(facts.endpoint)},
                               {"tenant", absl::StrJoin(facts.tenants, "|")},
                               {"query", facts.query},
                               {"code", response.status},
                               {"bytes", response.body.size()},
                               {"duration", time}});
}

void RequestBook::NoteRefusal(const RequestFacts& facts,
                              const http::Response& response) {
  limits::Refusal refusal;
  refusal.at = clock_.Now();
  refusal.reason = std::string(ReasonOf(response.status));
  refusal.caller = facts.caller;
  refusal.example = facts.query;
  refusal.detail = ErrorIn(response);
  refusal.count = 1;
  if (facts.tenants.empty()) refusals_.Add("", refusal);
  for (const std::string& tenant : facts.tenants) {
    refusals_.Add(tenant, refusal);
  }
}

}  // namespace insula::query_frontend
