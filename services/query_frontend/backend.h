// Asks the store of a tenant.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/http/client.h"
#include "libs/time/clock.h"
#include "services/query_frontend/json.h"
#include "services/query_frontend/metrics.h"
#include "services/query_frontend/policy.h"
#include "services/query_frontend/upstream_query.h"

namespace insula::query_frontend {

// The request that asks `query` of the replica at `base`: method, path, headers
// and parameters are all written here, nothing is taken over from a client's
// request.
http::ClientRequest BuildRequest(const UpstreamQuery& query,
                                 const Policy& policy, const http::Url& base);

// Thread-safe. `clock` and `metrics` outlive it.
class Backend {
 public:
  // `max_response` bounds answers that are put together, in bytes. Long answers
  // are read on `executor`: the caller's may be an event loop.
  Backend(const Clock* clock, Metrics* metrics, size_t max_response,
          boost::asio::any_io_executor executor)
      : clock_(*clock),
        metrics_(*metrics),
        max_response_(max_response),
        executor_(std::move(executor)) {}

  // Sends the query and checks the answer; several texts one after the other,
  // all for the same time, until one is refused. Gives up at `deadline` or
  // after the upstream's own timeout. Messages begin with "insula:" and tell
  // nothing of the upstream but its id. UNAVAILABLE: no answer.
  // DEADLINE_EXCEEDED: none in time. RESOURCE_EXHAUSTED: too large. UNKNOWN:
  // not an answer of a Prometheus. DATA_LOSS: withheld, because it showed what
  // `policy` does not allow. INVALID_ARGUMENT: of the query's own reader.
  // CANCELLED: the calling coroutine was cancelled. Both outlive the call; the
  // texts of `query` are used up.
  boost::asio::awaitable<absl::StatusOr<Answer>> Ask(UpstreamQuery* query,
                                                     const Policy* policy,
                                                     absl::Time deadline);

 private:
  boost::asio::awaitable<absl::StatusOr<Answer>> AskAll(UpstreamQuery* query,
                                                        const Policy* policy,
                                                        absl::Time deadline);
  boost::asio::awaitable<absl::StatusOr<Answer>> AskOne(
      const UpstreamQuery* query, const Policy* policy, absl::Time deadline);
  absl::Status ExplainFailure(const absl::Status& failure,
                              const Policy& policy);
  absl::Status TooLarge(const Policy& policy);
  absl::Status TooManySeriesFor(const Policy& policy);
  // Of a result that is passed on while it comes.
  absl::StatusOr<Answer> PassOn(const UpstreamQuery& query,
                                const Policy& policy, http::Response response);
  void Withheld(const std::string& request_id, const Policy& policy,
                absl::string_view text);
  absl::StatusOr<Answer> Check(const UpstreamQuery& query, const Policy& policy,
                               http::Response response);
  absl::Status NoAnswer(const std::string& request_id, const Policy& policy,
                        int http_status, const absl::Status& why);
  bool MayWarn();

  const Clock& clock_;
  Metrics& metrics_;
  const size_t max_response_;
  const boost::asio::any_io_executor executor_;
  // Until then the log has heard enough of broken stores; Unix seconds.
  std::atomic<int64_t> quiet_until_{0};
};

}  // namespace insula::query_frontend
