#include "services/query_frontend/endpoint.h"

#include <iterator>

namespace insula::query_frontend {
namespace {

constexpr absl::string_view kGet = "GET";
constexpr absl::string_view kPost = "POST";
constexpr absl::string_view kGetPost = "GET, POST";

constexpr EndpointInfo kEndpoints[] = {
    {Endpoint::kQuery, "query", "/api/v1/query", kGetPost,
     "query time timeout limit lookback_delta stats", true, true},
    {Endpoint::kQueryRange, "query_range", "/api/v1/query_range", kGetPost,
     "query start end step timeout limit lookback_delta stats", true, true},
    {Endpoint::kQueryExemplars, "query_exemplars", "/api/v1/query_exemplars",
     kGetPost, "query start end", true, false},
    {Endpoint::kFormatQuery, "format_query", "/api/v1/format_query", kGetPost,
     "query", false, true},
    {Endpoint::kParseQuery, "parse_query", "/api/v1/parse_query", kGetPost,
     "query", false, true},
    {Endpoint::kSeries, "series", "/api/v1/series", kGetPost,
     "match[] start end limit", true, true},
    {Endpoint::kLabels, "labels", "/api/v1/labels", kGetPost,
     "match[] start end limit", true, true},
    {Endpoint::kLabelValues, "label_values", "", kGet,
     "match[] start end limit", false, true},
    {Endpoint::kMetadata, "metadata", "/api/v1/metadata", kGet,
     "metric limit limit_per_metric", false, false},
    {Endpoint::kTargets, "targets", "/api/v1/targets", kGet, "state scrapePool",
     false, false},
    {Endpoint::kTargetMetadata, "targets_metadata", "/api/v1/targets/metadata",
     kGet, "match_target metric limit", false, false},
    {Endpoint::kRules, "rules", "/api/v1/rules", kGet,
     "type rule_name[] rule_group[] file[] match[] exclude_alerts group_limit "
     "group_next_token",
     false, false},
    {Endpoint::kAlerts, "alerts", "/api/v1/alerts", kGet, "", false, false},
    {Endpoint::kFederate, "federate", "/federate", kGet, "match[]", false,
     false},
    {Endpoint::kRead, "read", "/api/v1/read", kPost, "", true, false},
    {Endpoint::kBuildInfo, "buildinfo", "/api/v1/status/buildinfo", kGet, "",
     false, true},
    {Endpoint::kExplain, "explain", "/api/v1/insula/explain", kGet, "query",
     false, false},
    {Endpoint::kHealthy, "healthy", "/-/healthy", kGet, "", false, false},
    {Endpoint::kReady, "ready", "/-/ready", kGet, "", false, false},
    {Endpoint::kHealth, "health", "/health", kGet, "", false, false},
    {Endpoint::kDebugTargets, "debug_targets", "/debug/targets", kGet, "",
     false, false},
    {Endpoint::kDebugTenants, "debug_tenants", "/debug/tenants", kGet, "",
     false, false},
    {Endpoint::kDebugRejected, "debug_rejected", "/debug/rejected", kGet,
     "tenant", false, false},
    {Endpoint::kDebugQueries, "debug_queries", "/debug/queries", kGet, "",
     false, false},
    {Endpoint::kCollectedMetrics, "collected_metrics", "/collected-metrics",
     kGet, "metric", false, false},
    {Endpoint::kOther, "other", "", kGet, "", false, false},
};

constexpr bool IsInOrder() {
  for (size_t i = 0; i < std::size(kEndpoints); ++i) {
    if (kEndpoints[i].endpoint != static_cast<Endpoint>(i)) return false;
  }
  return std::size(kEndpoints) == kEndpointCount;
}
static_assert(IsInOrder(), "a row for each endpoint, in their order");

}  // namespace

const EndpointInfo& InfoOf(Endpoint endpoint) {
  return kEndpoints[static_cast<size_t>(endpoint)];
}

absl::Span<const EndpointInfo> AllEndpoints() { return kEndpoints; }

bool IsAllowed(Endpoint endpoint, absl::string_view method) {
  const absl::string_view methods = InfoOf(endpoint).methods;
  if (methods == kGetPost) return method == kGet || method == kPost;
  return method == methods;
}

}  // namespace insula::query_frontend
