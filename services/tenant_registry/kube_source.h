// Imports tenants and grants out of Kubernetes objects and follows their
// changes.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/http/proxy.h"
#include "libs/kube/cluster.h"
#include "libs/metrics/metrics.h"
#include "libs/runtime/blocking_pool.h"
#include "libs/runtime/process.h"
#include "services/tenant_registry/registry.h"

namespace insula::tenant_registry {

struct KubeSourceOptions {
  bool enabled = false;
  // The file that says where the cluster is, and the context in it. No file:
  // that of the pod.
  std::string kubeconfig;
  std::string context;
  std::vector<std::string> namespaces;  // None: all.
  // Plurals of the kinds to read, "metricaccesses"; none: all.
  std::vector<std::string> kinds;
  // More vanished objects than that within a minute, and more than 10, are kept
  // until the limit is raised or Kubernetes has them again.
  int max_deletion_percent = 20;
  // Whether to say in the status of objects what became of them, and how often.
  bool write_status = true;
  int status_writes_per_second = 50;
};

// OK, or INVALID_ARGUMENT with the key and the cure.
absl::Status CheckKubeSource(const KubeSourceOptions& options);

// The source "kubernetes": MetricAccess, OpenMetricsRule and
// MetricsIngestionTenant objects, as the Policies allow, become Tenants and
// Accesses, and go with the last object that declares them. A tenant that goes
// is refused at once; what refers to it is taken away, whoever keeps it, and
// then it is deleted. Whatever another source keeps stays as it is. While the
// cluster is away, or not all has been listed, nothing is deleted. Thread-safe.
class KubeSource {
 public:
  // Starts to import; null if not enabled. `process` outlives the source.
  // Blocks. An error if it can't be known where the cluster is; one that can't
  // be reached is none.
  static absl::StatusOr<std::unique_ptr<KubeSource>> Start(
      std::shared_ptr<Registry> registry, KubeSourceOptions options,
      runtime::Process& process);

  // With the cluster given. `blocking` and `metrics` outlive the source.
  KubeSource(std::shared_ptr<Registry> registry, KubeSourceOptions options,
             kube::Cluster cluster, boost::asio::any_io_executor executor,
             runtime::BlockingPool* blocking, metrics::Registry* metrics,
             http::ProxyRules proxy = {});

  // Ends, and waits for a change that is being made. Blocks.
  ~KubeSource();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace insula::tenant_registry
