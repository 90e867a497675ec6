// Which request is which: the allow-list of paths and methods.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace insula::query_frontend {

// What can be asked. kOther is a request that was refused by its path.
enum class Endpoint {
  kQuery,
  kQueryRange,
  kSeries,
  kLabels,
  kLabelValues,
  kBuildInfo,
  kHealthy,
  kReady,
  kOther,
};
inline constexpr size_t kEndpointCount = 9;

// "query_range"; for metrics and logs.
absl::string_view EndpointName(Endpoint endpoint);

// Where a path leads. For kOther, `http_status` and `error` say why not: 400
// for a path that no honest client writes, 403 for an endpoint of Prometheus
// that tenants may not use, 404 for all others.
struct Route {
  Endpoint endpoint = Endpoint::kOther;
  std::string label_name;  // Of kLabelValues, decoded.
  int http_status = 200;
  std::string error;
};

// Finds the route of a request target, up to '?'. The path is decoded once and
// then compared exactly; nothing is cleaned up. "/prometheus" may stand before
// it.
Route FindRoute(absl::string_view path);

// The methods that `endpoint` takes, as in an Allow header: "GET, POST".
absl::string_view AllowedMethods(Endpoint endpoint);
bool IsAllowed(Endpoint endpoint, absl::string_view method);

}  // namespace insula::query_frontend
