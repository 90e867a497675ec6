#include "services/query_frontend/kubernetes.h"

#include <functional>
#include <utility>

#include "libs/http/proxy.h"
#include "libs/kube/cluster.h"
#include "libs/status/status_macros.h"

namespace insula::query_frontend {

void KubernetesConfig::Describe(config::Fields& fields) {
  fields.Add("enabled", enabled,
             "Look for the Services that Upstream.query_services selects.");
  fields.Add("kubeconfig", kubeconfig,
             "File that says where the cluster is. Empty: that of the pod.");
  fields.Add("context", context, "Context in it. Empty: the current one.");
}

absl::StatusOr<std::unique_ptr<kube::Client>> ConnectKubernetes(
    const KubernetesConfig& config, runtime::Process* process) {
  if (!config.enabled) return nullptr;
  ASSIGN_OR_RETURN(
      kube::Cluster cluster,
      config.kubeconfig.empty()
          ? kube::InCluster()
          : kube::ReadKubeconfig(config.kubeconfig, config.context));
  kube::ClientOptions options;
  ASSIGN_OR_RETURN(options.proxy, http::ProxyRules::FromEnvironment());
  options.run_blocking = [process](std::function<absl::Status()> work) {
    return process->blocking().Run(std::move(work));
  };
  return std::make_unique<kube::Client>(std::move(cluster), std::move(options),
                                        process->executor(),
                                        &process->metrics());
}

}  // namespace insula::query_frontend
