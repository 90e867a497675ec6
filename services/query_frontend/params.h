// The parameters of a request: read once, strictly, and only those we know.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/http/message.h"
#include "libs/http/url.h"
#include "services/query_frontend/route.h"

namespace insula::query_frontend {

// What a request asks for. Parameters that Prometheus does not know, or does
// not take at this endpoint, are not in here and so never go upstream.
struct ApiParams {
  std::string query;                 // PromQL; of query and query_range.
  std::vector<std::string> matches;  // match[]; of the others.
  // Everything else, checked, in the words of the user: time, start, end, step,
  // timeout, limit.
  http::Params rest;
};

// Whether the body of `request` can be read: it is empty, or the one
// Content-Type is application/x-www-form-urlencoded in UTF-8.
bool HasReadableBody(const http::Request& request);

// Reads the URL query and, for POST, the body, whose match[] are united.
// INVALID_ARGUMENT, in Prometheus' words where it would refuse too: malformed
// text, a parameter that comes twice (in either or both), a value that can't be
// parsed, a range that ends before it starts or has more than 11,000 points.
absl::StatusOr<ApiParams> ParseParams(Endpoint endpoint,
                                      const http::Request& request);

}  // namespace insula::query_frontend
