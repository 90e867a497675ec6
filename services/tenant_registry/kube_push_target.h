// Reads the blocks of spec.remoteWrite that say where to push, one a target
// type.
//
// Each checks all of its block, and puts into `result` what a policy has to
// allow. INVALID_ARGUMENT "FIELD: what, cure"; `path` is that of the block.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "services/tenant_registry/kube_declaration.h"

namespace insula::tenant_registry {

absl::Status ReadPrometheusTarget(absl::string_view path,
                                  const nlohmann::json& json,
                                  KubeRemoteWrite* result);
absl::Status ReadPushgatewayTarget(absl::string_view path,
                                   const nlohmann::json& json);
// `own_namespace`: the only one whose Secrets it may name.
absl::Status ReadEndpointTarget(absl::string_view path,
                                const nlohmann::json& json,
                                absl::string_view own_namespace,
                                KubeRemoteWrite* result);

}  // namespace insula::tenant_registry
