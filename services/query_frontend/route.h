// Which request is which: the allow-list of paths.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "services/query_frontend/endpoint.h"

namespace insula::query_frontend {

// Where a path leads. For kOther, `http_status` and `error` say why not: 400
// for a path that no honest client writes, 403 for an endpoint of Prometheus
// that tenants may not use, 404 for all others.
struct Route {
  Endpoint endpoint = Endpoint::kOther;
  std::string label_name;  // Of kLabelValues, decoded.
  std::string tenant;      // That the path names; not checked.
  int http_status = 200;
  std::string error;
};

// Finds the route of a request target, up to '?'. The path is decoded once and
// then compared exactly; nothing is cleaned up. "/t/TENANT", "/prometheus", or
// both in this order may stand before it, but not before pages of operators.
Route FindRoute(absl::string_view path);

}  // namespace insula::query_frontend
