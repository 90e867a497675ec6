// Finds the answer to a tenant's question: confines it, and asks the store as
// often as that takes.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/query_frontend/caching.h"
#include "services/query_frontend/confined_queries.h"
#include "services/query_frontend/json.h"
#include "services/query_frontend/metrics.h"
#include "services/query_frontend/params.h"
#include "services/query_frontend/policy.h"
#include "services/query_frontend/question.h"
#include "services/query_frontend/route.h"
#include "services/query_frontend/unlike_series.h"

namespace insula::query_frontend {

// Thread-safe.
class Answering {
 public:
  // `confined_queries`, `caching` and `metrics` outlive it. `max_response`
  // bounds answers that are put together, in bytes.
  Answering(ConfinedQueries* confined_queries, Caching* caching,
            Metrics* metrics, size_t max_response, AnswerOptions options)
      : confined_queries_(*confined_queries),
        caching_(*caching),
        metrics_(*metrics),
        max_response_(max_response),
        options_(options) {}

  // For one tenant or, at endpoints that take them, several. Errors are those
  // of MakeQuestion() and Caching::Ask(), and
  // RESOURCE_EXHAUSTED for what is beyond a limit of a tenant. What can be done
  // without waiting is done before it returns.
  boost::asio::awaitable<absl::StatusOr<Answer>> Find(
      Route route, ApiParams params, std::vector<Policy> policies,
      std::string request_id, absl::Time deadline);

 private:
  using Found = absl::StatusOr<Answer>;

  // Those that are no coroutines themselves save each request their frames.
  boost::asio::awaitable<Found> FindForOne(const Route& route,
                                           ApiParams&& params,
                                           const SharedPolicy& policy,
                                           std::string&& request_id,
                                           absl::Time deadline);
  boost::asio::awaitable<Found> FindSeries(const ApiParams& params,
                                           const SharedPolicy& policy,
                                           std::string&& request_id,
                                           absl::Time deadline);
  // What takes a confined question and no more than one.
  boost::asio::awaitable<Found> AskOne(absl::StatusOr<UpstreamQuery>&& query,
                                       const SharedPolicy& policy,
                                       std::string&& request_id,
                                       absl::Time deadline);
  // What has to be known first, and then that.
  boost::asio::awaitable<Found> AskIfUnlike(UpstreamQuery query,
                                            SharedPolicy policy,
                                            absl::Time deadline);
  // Nothing if that is so of unlike->selectors[index], else what to say instead
  // of an answer.
  boost::asio::awaitable<std::optional<Found>> FindAlike(
      std::shared_ptr<const Unlike> unlike, size_t index,
      std::string request_id, SharedPolicy policy, absl::Time now,
      absl::Time deadline);
  boost::asio::awaitable<Found> FindForSeveral(const Route& route,
                                               ApiParams&& params,
                                               std::vector<Policy>&& policies,
                                               std::string&& request_id,
                                               absl::Time deadline);
  // Series, labels and values of all, asked for one after the other.
  boost::asio::awaitable<Found> FindUnion(Route route, ApiParams params,
                                          std::vector<Policy> policies,
                                          std::string request_id,
                                          absl::Time deadline);
  // Within the tenant's limits.
  boost::asio::awaitable<Found> Ask(UpstreamQuery&& query,
                                    const SharedPolicy& policy,
                                    absl::Time deadline);
  absl::Status Refused(const absl::Status& why);
  // Which names the tenant sees comes first, then what is said of them.
  boost::asio::awaitable<absl::StatusOr<Answer>> FindMetadata(
      ApiParams params, SharedPolicy policy, std::string request_id,
      absl::Time deadline);

  ConfinedQueries& confined_queries_;
  Caching& caching_;
  Metrics& metrics_;
  const size_t max_response_;
  const AnswerOptions options_;
};

}  // namespace insula::query_frontend
