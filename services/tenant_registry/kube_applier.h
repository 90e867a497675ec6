// Makes the changes that the Kubernetes source wants.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "services/tenant_registry/kube_diff.h"
#include "services/tenant_registry/kube_metrics.h"
#include "services/tenant_registry/registry.h"

namespace insula::tenant_registry {

// Why an object is not in the registry as Kubernetes wants it.
struct KubeRefusal {
  std::string reason;  // Of a condition.
  std::string message;
};
using KubeRefusals = std::map<ObjectKey, KubeRefusal>;

// Used by one coroutine at a time.
class KubeApplier {
 public:
  // `metrics` outlives it.
  KubeApplier(std::shared_ptr<Registry> registry, KubeMetrics* metrics)
      : registry_(std::move(registry)), metrics_(metrics) {}

  // Makes the changes, in Applies of at most 50 operations, and returns what
  // the registry refuses. Revocations come first and are not affected by what
  // is refused. `interrupted` is asked now and then: whether to leave the rest,
  // after the revocations, for another time. Sets `complete` unless something
  // was left or could not be stored.
  boost::asio::awaitable<KubeRefusals> Make(KubeChanges changes,
                                            std::function<bool()> interrupted,
                                            bool* complete);

 private:
  using Operations = std::vector<v1::Operation>;

  // Those that `interrupted` leaves are not made.
  boost::asio::awaitable<void> ApplyAll(Operations operations,
                                        std::function<bool()> interrupted);
  boost::asio::awaitable<void> ApplyChunk(Operations chunk);
  boost::asio::awaitable<void> Remove(std::string tenant);

  const std::shared_ptr<Registry> registry_;
  KubeMetrics* const metrics_;

  // Of the present call of Make().
  KubeRefusals refused_;
  bool complete_ = true;
};

}  // namespace insula::tenant_registry
