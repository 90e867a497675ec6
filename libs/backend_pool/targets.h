// Where the replicas of a store are, as different sources write it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/http/url.h"
#include "libs/kube/object_cache.h"

namespace insula::backend_pool {

// The most replicas that a source may name.
inline constexpr size_t kMaxTargets = 1000;

// `text`, JSON or YAML, as a file of Prometheus' file_sd: a list of groups with
// `targets`, "host:port" each. Schemes are those of the label `__scheme__` of a
// group, else of `base`; paths those of `base`; other labels mean nothing here.
// INVALID_ARGUMENT, with the place, for anything else.
absl::StatusOr<std::vector<http::Url>> ParseFileTargets(absl::string_view text,
                                                        const http::Url& base);

// Which port of a Service.
struct ServicePort {
  std::string port;  // Its name or number. Empty: the first.
  std::string scheme = "http";
  std::string path = "/";
};

// "http://NAME.NAMESPACE.svc:PORT/" of each Service that has such a port, by
// name. Those that stand for a host elsewhere (ExternalName) are left out: a
// Service is no leave to ask anybody. So is what is no name of Kubernetes.
std::vector<http::Url> ServiceTargets(const std::vector<kube::Object>& services,
                                      const ServicePort& port);

}  // namespace insula::backend_pool
