// Finds the replicas of a store, and what becomes of them.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/backend_pool/targets.h"
#include "libs/http/url.h"
#include "libs/kube/client.h"
#include "libs/kube/informer.h"
#include "libs/metrics/metrics.h"

namespace insula::backend_pool {

// Gets what was found, whenever that has changed: BackendPool::Update. Must be
// quick. Runs on the executor, one call at a time.
using Found = std::function<void(const std::vector<http::Url>& urls)>;

// Runs work that may block: runtime::BlockingPool::Run.
using RunBlocking = std::function<boost::asio::awaitable<absl::Status>(
    std::function<absl::Status()> work)>;

// Looks again and again. What can't be looked up, and a look that finds
// nothing, changes nothing: a name server that is away and a file that is being
// written are no reason to ask nobody. Metric:
// insula_backend_pool_discovery_failures_total{pool}.
class PolledDiscovery {
 public:
  using Look = std::function<
      boost::asio::awaitable<absl::StatusOr<std::vector<http::Url>>>()>;
  struct Options {
    std::string pool;  // Its name, in metrics.
    absl::Duration interval = absl::Seconds(30);
  };

  // Looks at once. `executor` and `metrics`, and what `look` uses, live until
  // the look that may be under way at the end has ended.
  PolledDiscovery(Options options, Look look, Found found,
                  boost::asio::any_io_executor executor,
                  metrics::Registry* metrics);
  // `found` is not called any more.
  ~PolledDiscovery();
  PolledDiscovery(const PolledDiscovery&) = delete;
  PolledDiscovery& operator=(const PolledDiscovery&) = delete;

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

// `base` for each address that its host has. Meant for http: certificates are
// seldom of addresses.
PolledDiscovery::Look LookUpName(http::Url base);

// What ParseFileTargets() reads in the file.
PolledDiscovery::Look LookIntoFile(std::string path, http::Url base,
                                   RunBlocking run_blocking);

// The Services that `options` selects, as ServiceTargets() says. An empty
// selection is one: Services that are gone are gone.
class ServiceDiscovery {
 public:
  // All outlive it. Only the resource of the selection is set here.
  ServiceDiscovery(kube::InformerOptions options, ServicePort port,
                   kube::Client* client, Found found,
                   boost::asio::any_io_executor executor,
                   metrics::Registry* metrics);
  // Waits for a call of `found`: not on the executor.
  ~ServiceDiscovery();
  ServiceDiscovery(const ServiceDiscovery&) = delete;
  ServiceDiscovery& operator=(const ServiceDiscovery&) = delete;

  // Whether all Services have been seen once.
  bool synced() const { return informer_->synced(); }

 private:
  struct Copy;
  const std::shared_ptr<Copy> copy_;
  std::unique_ptr<kube::Informer> informer_;
};

}  // namespace insula::backend_pool
