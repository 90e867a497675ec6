// What a client needs to speak to a cluster, kept up to date. For libs/kube
// alone.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/http/client.h"
#include "libs/http/tls.h"
#include "libs/kube/cluster.h"
#include "libs/metrics/metrics.h"
#include "libs/sync/mutex.h"

namespace insula::kube {

// Runs work that may block and returns its status, on a thread that may wait:
// runtime::BlockingPool::Run.
using RunBlocking = std::function<boost::asio::awaitable<absl::Status>(
    std::function<absl::Status()>)>;

// Reads the files of a cluster again and again: tokens of pods and the CA are
// replaced while they run. What can't be read leaves the last ones in use.
// Thread-safe. Metrics: insula_kube_credential_failures_total.
class Credentials {
 public:
  struct Current {
    std::string token;
    std::shared_ptr<http::Client> client;  // With the cluster's certificates.
  };

  // `metrics` outlives it. `run_blocking` may be null: then it blocks.
  Credentials(Cluster cluster, http::ClientOptions client_options,
              absl::Duration reload_interval, RunBlocking run_blocking,
              boost::asio::any_io_executor executor,
              metrics::Registry* metrics);

  // An error only if nothing could be read yet.
  boost::asio::awaitable<absl::StatusOr<Current>> Get()
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The server did not accept `token`: the next Get() looks whether there is
  // another one. False if that can't be.
  bool Doubt(const std::string& token) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Files {
    std::string token;
    http::ClientTls tls;
  };
  absl::StatusOr<Files> Read() const;
  void Use(absl::StatusOr<Files> files) ABSL_LOCKS_EXCLUDED(mutex_);

  const Cluster cluster_;
  const http::ClientOptions client_options_;
  const absl::Duration reload_interval_;
  const RunBlocking run_blocking_;
  const boost::asio::any_io_executor executor_;
  metrics::Registry* const metrics_;
  metrics::Counter& failures_;

  sync::Mutex mutex_;
  Current current_ ABSL_GUARDED_BY(mutex_);
  std::string certificates_ ABSL_GUARDED_BY(mutex_);  // Of current_.client.
  absl::Status error_ ABSL_GUARDED_BY(mutex_);        // Of the last reading.
  absl::Time read_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace insula::kube
