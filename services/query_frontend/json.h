// Prometheus' JSON: the envelope of every answer.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/tenancy/read_policy.h"
#include "services/query_frontend/route.h"

namespace insula::query_frontend {

// Prometheus' errorType for an HTTP status of ours: 400 "bad_data", 404
// "not_found", 422 "execution", 499 "canceled", 504 "timeout", 503
// "unavailable", other 4xx "bad_data", else "internal".
absl::string_view ErrorTypeOf(int http_status);

// {"status":"error","errorType":...,"error":...}. Invalid UTF-8 is replaced.
std::string ErrorJson(absl::string_view error_type, absl::string_view error);

// {"status":"success","data":{...}} of status/buildinfo, as Grafana probes it:
// it chooses by the version which parts of the API to use.
std::string BuildInfoJson(absl::string_view prometheus_version);

// What an upstream said, taken apart.
struct Answer {
  int http_status = 200;
  std::string body;      // What to send: rebuilt, `data` untouched.
  std::string withheld;  // Texts left out of it, for our log.
};

// Checks an answer of an upstream to `endpoint` and builds ours from it.
//
// INTERNAL: not such an answer; the message says what it is instead, without a
// byte of it. DATA_LOSS: it holds a series or a value that `reads` does not
// allow, and must not be sent.
//
// Errors keep their type; their text is kept where it speaks of the query
// (bad_data, execution, timeout, canceled, not_found) and replaced where it
// speaks of the upstream. So are warnings, unless they come from PromQL.
absl::StatusOr<Answer> ReadAnswer(Endpoint endpoint,
                                  absl::string_view label_name, int http_status,
                                  std::string body,
                                  const tenancy::ReadPolicy& reads);

}  // namespace insula::query_frontend
