// The cluster in which Services are looked for.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "libs/config/config.h"
#include "libs/kube/client.h"
#include "libs/runtime/process.h"

namespace insula::query_frontend {

struct KubernetesConfig {
  bool enabled = false;
  // The file that says where the cluster is, and the context in it. No file:
  // that of the pod.
  std::string kubeconfig;
  std::string context;

  void Describe(config::Fields& fields);
};

// Null if it is not enabled. An error if it can't be known where the cluster
// is; one that can't be reached is none. Blocks. `process` outlives the client.
absl::StatusOr<std::unique_ptr<kube::Client>> ConnectKubernetes(
    const KubernetesConfig& config, runtime::Process* process);

}  // namespace insula::query_frontend
