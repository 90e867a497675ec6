// The replicas of each upstream.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/backend_pool/backend_pool.h"
#include "libs/backend_pool/discovery.h"
#include "libs/config/config.h"
#include "libs/http/client.h"
#include "libs/http/message.h"
#include "libs/http/url.h"
#include "libs/kube/client.h"
#include "libs/metrics/metrics.h"
#include "libs/promql/dialect.h"
#include "libs/sync/mutex.h"
#include "libs/tenancy/snapshot.h"
#include "services/query_frontend/store_version.h"

namespace insula::query_frontend {

// How replicas are found, and how it is known whether they are well.
struct PoolsConfig {
  std::string file_sd_dir;
  absl::Duration discovery_interval = absl::Seconds(30);
  absl::Duration probe_interval = absl::Seconds(5);
  absl::Duration probe_timeout = absl::Seconds(2);
  absl::Duration version_interval = absl::Minutes(5);

  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

// The replicas of one upstream, as it was in the registry once. Thread-safe.
// Held by a shared_ptr while it is asked.
class Pool {
 public:
  // As BackendPool::Send(). Its errors, and usable().
  boost::asio::awaitable<absl::StatusOr<http::Response>> Send(
      backend_pool::BackendPool::Build build, absl::Time deadline);

  // Whether its replicas can be looked for. UNAVAILABLE with the cure.
  const absl::Status& usable() const { return usable_; }
  // The query_url of the upstream.
  const http::Url& base() const { return base_; }
  // Of the upstream, with all that says where its replicas are: another one
  // where that is another store.
  const std::string& identity() const { return identity_; }
  // What all of its replicas understand.
  promql::Dialect dialect() const { return version_->dialect(); }
  // See StoreVersion.
  bool takes_filters() const { return version_->takes_filters(); }
  std::vector<backend_pool::ReplicaSet::Status> Statuses() const {
    return backends_->Statuses();
  }

 private:
  friend class Pools;

  http::Url base_;
  std::string identity_;
  absl::Status usable_;  // Else why it can't look for replicas.
  std::shared_ptr<backend_pool::BackendPool> backends_;
  std::unique_ptr<StoreVersion> version_;
  std::unique_ptr<backend_pool::PolledDiscovery> polled_;
};

// Thread-safe.
class Pools {
 public:
  struct Environment {
    boost::asio::any_io_executor executor;
    std::shared_ptr<http::Client> client;
    metrics::Registry* metrics = nullptr;
    backend_pool::RunBlocking run_blocking;
    kube::Client* kubernetes = nullptr;  // Null: there is none.
    // All outlive it, and what is under way at its end.
  };

  // Of one upstream.
  struct Status {
    std::string upstream_id;
    promql::Version version;
    std::vector<backend_pool::ReplicaSet::Status> replicas;
  };

  Pools(PoolsConfig config, Environment environment);
  // Nothing is asked any more, and Follow() not called. Not on the executor.
  ~Pools();

  // The pool of `upstream`, which has a query_url. Made when it is first asked
  // for; kept until the upstream differs.
  std::shared_ptr<Pool> Of(const tenancy::Upstream& upstream)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Drops the pools of upstreams that `snapshot` has no more, or has otherwise.
  void Follow(const tenancy::Snapshot& snapshot) ABSL_LOCKS_EXCLUDED(mutex_);

  // By upstream id, of those that were asked for.
  std::vector<Status> Statuses() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    registry::v1::Upstream spec;
    std::string uid;
    int64_t mod_revision = 0;
    std::shared_ptr<Pool> pool;
    // Not the pool's: of those who use that the last may be on the executor,
    // where this must not end.
    std::unique_ptr<backend_pool::ServiceDiscovery> services;
  };

  std::shared_ptr<Pool> Make(const tenancy::Upstream& upstream) const;
  std::unique_ptr<backend_pool::ServiceDiscovery> FindServices(
      const tenancy::Upstream& upstream, const Pool& pool) const;
  // Ends `services`, off the executor.
  void Retire(std::unique_ptr<backend_pool::ServiceDiscovery> services) const;

  const PoolsConfig config_;
  const Environment environment_;
  mutable sync::Mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::query_frontend
