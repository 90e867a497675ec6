// What can be asked: one row for each endpoint.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace insula::query_frontend {

enum class Endpoint {
  kQuery,
  kQueryRange,
  kQueryExemplars,
  kFormatQuery,
  kParseQuery,
  kSeries,
  kLabels,
  kLabelValues,
  kMetadata,
  kTargets,
  kTargetMetadata,
  kRules,
  kAlerts,
  kFederate,
  kRead,
  kBuildInfo,
  kExplain,
  kHealthy,
  kReady,
  // Of operators, who read of all tenants.
  kHealth,
  kDebugTargets,
  kDebugTenants,
  kDebugRejected,
  kDebugQueries,
  kCollectedMetrics,
  kOther,  // A request that was refused by its path.
};
inline constexpr size_t kEndpointCount =
    static_cast<size_t>(Endpoint::kOther) + 1;

struct EndpointInfo {
  Endpoint endpoint;
  absl::string_view name;  // "query_range"; for metrics and logs.
  // Its path; empty for those that no constant path leads to.
  absl::string_view path;
  absl::string_view methods;  // As in an Allow header: "GET, POST".
  // The parameters it takes, apart by blanks: those that come once, and those
  // that may come several times and end in "[]". Others are passed over.
  absl::string_view params;
  // Whether the body of a request is a block of protobuf, not a form.
  bool takes_block() const { return methods == "POST"; }
  // Whether the store may be asked by POST, whose length no URL limit cuts.
  bool upstream_post;
  // Whether it can be asked for several tenants at once.
  bool several_tenants;
};

// The row of `endpoint`.
const EndpointInfo& InfoOf(Endpoint endpoint);

// All rows, in the order of the enumeration.
absl::Span<const EndpointInfo> AllEndpoints();

inline absl::string_view EndpointName(Endpoint endpoint) {
  return InfoOf(endpoint).name;
}

// Whether it takes ROLE_OPERATOR, and is of no one tenant.
constexpr bool IsForOperators(Endpoint endpoint) {
  return endpoint >= Endpoint::kHealth &&
         endpoint <= Endpoint::kCollectedMetrics;
}

// Whether `endpoint` takes a request of that method.
bool IsAllowed(Endpoint endpoint, absl::string_view method);

}  // namespace insula::query_frontend
