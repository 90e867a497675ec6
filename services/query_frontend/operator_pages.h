// What operators are shown: the pages of prometheus-multi-tenant-proxy in its
// form, and what was refused or takes long.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/backend_pool/replica_set.h"
#include "libs/http/url.h"
#include "libs/metrics/metrics.h"
#include "libs/tenancy/snapshot.h"
#include "libs/time/clock.h"
#include "services/query_frontend/backend.h"
#include "services/query_frontend/metrics.h"
#include "services/query_frontend/params.h"
#include "services/query_frontend/policy.h"
#include "services/query_frontend/pools.h"
#include "services/query_frontend/request_book.h"

namespace insula::query_frontend {

struct Page {
  std::string content_type;
  std::string body;
};

// Who asks was proven to be an operator. Thread-safe. Texts of tenants are
// escaped as JSON demands, what is not UTF-8 in them is replaced.
//
//   /health             {"status","total_targets","healthy_targets","tenants"}
//   /debug/targets      {"targets":[{"url","healthy","last_seen"}]}: the
//                       replicas of stores that tenants are read from
//   /debug/tenants      {"tenants":[{"id","name","namespace","patterns"}]}: at
//                       most 10,000, then "more" says how many are left out
//   /debug/rejected     of whom there are refusals, the last first, and the
//   last
//                       100 of requests whose tenant is not known
//   /debug/rejected?tenant=T  the last 100 of a tenant
//   /debug/queries      {"running":[...],"slow":[...]}
//   /collected-metrics  text: at most ten series of each of some well-known
//                       names, or of the query `metric`, of a whole store
class OperatorPages {
 public:
  using SnapshotSource =
      std::function<std::shared_ptr<const tenancy::Snapshot>()>;

  // All pointers outlive it. Keeps gauges of ProxyMetrics true.
  OperatorPages(SnapshotSource snapshots, const Clock* clock,
                const RequestBook* book, Pools* pools, Backend* backend,
                Metrics* metrics, metrics::Registry* registry);

  // The page of `endpoint`, one for operators. INVALID_ARGUMENT for a `metric`
  // that is no query of series. Errors of /collected-metrics are those of
  // Backend::Ask(), and UNAVAILABLE if there is no store to ask.
  boost::asio::awaitable<absl::StatusOr<Page>> Show(Endpoint endpoint,
                                                    ApiParams params,
                                                    std::string request_id,
                                                    absl::Time deadline) const;

 private:
  // A replica of a store that tenants are read from.
  struct Target {
    std::string upstream_id;
    std::string url;
    bool healthy = true;
    absl::Time last_seen;  // It answered, a request or a probe.
  };
  // By upstream id; with the number of those who read. A replica that has
  // others beside it is probed, by which it is known how it is; one that is
  // alone is as the last request to it has shown. A store that was not asked
  // yet has its URL for the only one.
  std::vector<Target> TargetsOf(const tenancy::Snapshot& snapshot,
                                size_t* readers) const;
  void AddTargets(const std::string& upstream_id, const http::Url& url,
                  const std::vector<backend_pool::ReplicaSet::Status>* replicas,
                  std::vector<Target>* targets) const;

  std::string Health() const;
  std::string Targets() const;
  std::string Tenants() const;
  std::string Rejected(absl::string_view tenant) const;
  std::string Queries() const;
  boost::asio::awaitable<absl::StatusOr<Page>> Collected(
      std::string query, std::string request_id, absl::Time deadline) const;
  // How to ask the stores that isolate by label and are well. Others show an
  // operator nothing, who is no tenant of theirs.
  std::vector<Policy> SharedStores() const;

  const SnapshotSource snapshots_;
  const Clock& clock_;
  const absl::Time begun_at_;
  const RequestBook& book_;
  Pools& pools_;
  Backend& backend_;
  Metrics& metrics_;
  metrics::CollectHook hook_;
};

}  // namespace insula::query_frontend
