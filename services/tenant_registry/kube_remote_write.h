// Reads spec.remoteWrite of a MetricAccess, and says where series may be
// pushed.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/tenant_registry/kube_declaration.h"

namespace insula::tenant_registry {

// Reads all of it and checks what can be checked without a policy.
// INVALID_ARGUMENT "FIELD: what, cure". `name_space` is the object's own.
absl::StatusOr<KubeRemoteWrite> ReadKubeRemoteWrite(
    const nlohmann::json& json, absl::string_view name_space);

// Whether a push may go to `url` at all: one of CheckUrl, without encoded dots
// or slashes, whose host is no address of this host or of the metadata service
// of a cloud (link-local and unspecified ones, and numbers that only some
// readers take for an address). Loopback is left to the policy.
absl::Status CheckPushUrl(absl::string_view url);

// Whether `url` lies at or below `base`: the same scheme, host and port, and a
// path that goes on at a '/'. Both passed CheckPushUrl.
bool IsUrlBelow(absl::string_view url, absl::string_view base);

}  // namespace insula::tenant_registry
