// Asks a store that has several replicas.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/backend_pool/replica_set.h"
#include "libs/backend_pool/retry_budget.h"
#include "libs/http/client.h"
#include "libs/http/message.h"
#include "libs/http/url.h"
#include "libs/metrics/metrics.h"
#include "libs/time/clock.h"

namespace insula::backend_pool {

// Sends each request to a replica that is well, and once more to others, within
// the budget, if that one gave no answer of its own: no connection, one that
// broke, or 502, 503 and 504 without JSON. For requests that may be repeated
// only: reads. A request that ran out of time is not repeated, and says nothing
// about the replica, or one tenant's long queries would put it out for all;
// that is what probes are for.
//
// Thread-safe. Metrics, by the name of the pool:
// insula_backend_pool_retries_total, insula_backend_pool_unretried_total (the
// budget was used up), insula_backend_pool_probes_total{result},
// insula_backend_pool_replicas{state}, "well" and "out".
class BackendPool {
 public:
  struct Options {
    std::string name;
    ReplicaSet::Options replicas;
    RetryBudget::Options retries;
    int max_attempts = 3;
    // GET of this path below a replica's URL. Any answer below 500 is good: a
    // store need not know the path. Empty: no probes. Nor are there any of a
    // replica that is alone: it is asked in any case.
    std::string probe_path = "/-/ready";
    absl::Duration probe_interval = absl::Seconds(5);
    absl::Duration probe_timeout = absl::Seconds(2);
  };
  struct Environment {
    boost::asio::any_io_executor executor;
    std::shared_ptr<http::Client> client;
    const Clock* steady = nullptr;  // Never jumps.
    metrics::Registry* metrics = nullptr;
    // All outlive it, and the probe that may be under way at its end.
  };

  // The request to the replica at `base`.
  using Build = std::function<http::ClientRequest(const http::Url& base)>;

  // Begins to probe.
  BackendPool(Options options, Environment environment);
  // Ends the probes, without waiting for it. Send() must have ended.
  ~BackendPool();
  BackendPool(const BackendPool&) = delete;
  BackendPool& operator=(const BackendPool&) = delete;

  // These are the replicas from now on: what a Discovery has found.
  void Update(const std::vector<http::Url>& urls);

  // The answer of a replica, until `deadline`. Errors are those of
  // http::Client; UNAVAILABLE if there are no replicas.
  boost::asio::awaitable<absl::StatusOr<http::Response>> Send(
      Build build, absl::Time deadline);

  std::vector<ReplicaSet::Status> Statuses() const {
    return replicas_->Statuses();
  }
  std::shared_ptr<const ReplicaSet> replicas() const { return replicas_; }

 private:
  struct Prober;

  const Options options_;
  const Environment environment_;
  const std::shared_ptr<ReplicaSet> replicas_;
  RetryBudget budget_;
  metrics::Counter& retries_;
  metrics::Counter& unretried_;
  metrics::Gauge& well_;
  metrics::Gauge& out_;
  metrics::CollectHook hook_;
  std::shared_ptr<Prober> prober_;
};

// Whether `answer` is a replica's own. A Prometheus says in JSON, with 503,
// that a query took too long; that it is not ready, or a proxy that it is not
// there, is said otherwise.
bool IsOwnAnswer(const http::Response& answer);

}  // namespace insula::backend_pool
