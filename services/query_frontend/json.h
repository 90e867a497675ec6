// Prometheus' JSON: the envelope of every answer.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/http/message.h"
#include "services/query_frontend/answer_data.h"

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
  std::string content_type = "application/json";
  std::string content_encoding;  // "": none.
  std::string body;      // What to send: rebuilt, `data` untouched or replaced.
  std::string withheld;  // Texts left out of it, for our log.
  bool warned = false;   // With warnings, as where some of the data is lacking.
  bool storable = true;  // Whether it may be kept for the same question.
  // Of an answer that was asked for in pieces, what comes behind `body`. Its
  // errors have been told already.
  std::shared_ptr<http::BodySource> rest;
};

// Checks an answer of an upstream, its `data` by `read_data`, and builds ours
// from it. Errors are those of `read_data`, and INTERNAL for what is no answer
// of a Prometheus, without a byte of it.
//
// Errors keep their type; their text is kept where it speaks of the query
// (bad_data, execution, timeout, canceled, not_found) and replaced where it
// speaks of the upstream. So are warnings, unless they come from PromQL.
absl::StatusOr<Answer> ReadAnswer(int http_status, std::string body,
                                  const DataReader& read_data);

}  // namespace insula::query_frontend
