// Where the API server of a Kubernetes cluster is, and how to prove who we are.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/http/tls.h"
#include "libs/http/url.h"

namespace insula::kube {

struct Cluster {
  http::Url server;
  http::ClientTls tls;
  std::string token;       // Bearer token, may be empty.
  std::string token_file;  // Not empty: the token is read from there.
  std::string namespace_name = "default";  // Where we are at home.
};

// OK, or INVALID_ARGUMENT: a token would travel in the clear.
absl::Status CheckCluster(const Cluster& cluster);

inline constexpr char kServiceAccountDirectory[] =
    "/var/run/secrets/kubernetes.io/serviceaccount";

// For a process in a pod: the address in KUBERNETES_SERVICE_HOST and
// KUBERNETES_SERVICE_PORT, `token`, `ca.crt` and `namespace` in `directory`.
// NOT_FOUND outside of a pod. Blocks.
absl::StatusOr<Cluster> InCluster(
    const std::string& directory = kServiceAccountDirectory);

// What kubectl would use with this file: its context `context`, or the current
// one. Paths in it are relative to its directory. UNIMPLEMENTED for what is
// not supported: programs that provide credentials, passwords, impersonation,
// proxies, servers whose certificate is not to be checked. Blocks.
absl::StatusOr<Cluster> ReadKubeconfig(const std::string& path,
                                       absl::string_view context = "");

// The text of a small file that somebody may be replacing. Blocks.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);

}  // namespace insula::kube
