// What is kept of requests for those who look at the service from outside: the
// request log, the metrics of the predecessor, refusals, and queries that run
// or were slow.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "libs/http/message.h"
#include "libs/limits/refusals.h"
#include "libs/time/clock.h"
#include "services/query_frontend/endpoint.h"
#include "services/query_frontend/metrics.h"
#include "services/query_frontend/query_watch.h"

namespace insula::query_frontend {

// The text of an error in Prometheus' form; empty if `response` is none.
std::string ErrorIn(const http::Response& response);

struct RequestBookOptions {
  bool request_log = false;  // A line for each request at info, not at debug.
  absl::Duration slow_query = absl::Seconds(10);
};

// A request under way; those who handle it fill in what they find.
struct RequestFacts {
  Endpoint endpoint = Endpoint::kOther;
  std::string method;
  std::string id;
  absl::Time begun_at;
  std::vector<std::string> tenants;  // Proven; empty: not known.
  std::string caller;
  std::string query;  // PromQL, or what stands for it.
};

// Thread-safe.
class RequestBook {
 public:
  // `clock` and `metrics` outlive it.
  RequestBook(RequestBookOptions options, const Clock* clock, Metrics* metrics);

  // `facts` of a request that begins.
  RequestFacts Begin(Endpoint endpoint, const http::Request& request) const;

  // Of one that a store is going to be asked about.
  [[nodiscard]] QueryWatch::Running Watch(const RequestFacts& facts);

  // It was answered. Logs neither credentials nor what tenants wrote, but for
  // the queries that were slow.
  void NoteAnswer(const RequestFacts& facts, const http::Response& response);

  const limits::Refusals& refusals() const { return refusals_; }
  const QueryWatch& queries() const { return queries_; }

 private:
  void NoteRefusal(const RequestFacts& facts, const http::Response& response);

  const RequestBookOptions options_;
  const Clock& clock_;
  Metrics& metrics_;
  limits::Refusals refusals_;
  QueryWatch queries_;
};

}  // namespace insula::query_frontend
