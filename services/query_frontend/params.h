// The parameters of a request: read once, strictly, and only those we know.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/http/message.h"
#include "libs/http/url.h"
#include "services/query_frontend/endpoint.h"

namespace insula::query_frontend {

// What a request asks for. Parameters that Prometheus does not know, or does
// not take at this endpoint, are not in here and so never go upstream.
struct ApiParams {
  std::string query;  // PromQL; of those that take an expression.
  std::vector<std::string> matches;  // match[]
  std::string accept;                // Header Accept.
  std::string body;                  // Of those that take a block.
  // Everything else, in the words of the user. Times, durations and numbers are
  // checked; what comes once is sorted by name and not empty.
  http::Params rest;
  // What some of it says. `step` is not zero at query_range alone.
  std::optional<absl::Time> start;
  std::optional<absl::Time> end;
  absl::Duration step;
  absl::Duration lookback;  // lookback_delta; 0 if it is not given.

  // At how many times a query is evaluated.
  int64_t steps() const;
  // The value of the first of that name in `rest`; "" if there is none.
  absl::string_view Get(absl::string_view name) const;
  // All of them.
  std::vector<std::string> All(absl::string_view name) const;

  // What is asked for, cut to 1 KiB, for people: the query, or the match[].
  std::string Summary() const;
};

// Whether the body of `request` is what `endpoint` takes by its headers: empty,
// or a form, whose one Content-Type is application/x-www-form-urlencoded in
// UTF-8; or protobuf in a snappy block.
bool HasReadableBody(Endpoint endpoint, const http::Request& request);

// Reads the URL query and, for POST, the body, whose match[] are united.
// INVALID_ARGUMENT, in Prometheus' words where it would refuse too: malformed
// text, a parameter that comes twice (in either or both), a value that can't be
// parsed, a range that ends before it starts or has more than 11,000 points.
absl::StatusOr<ApiParams> ParseParams(Endpoint endpoint,
                                      const http::Request& request);

}  // namespace insula::query_frontend
