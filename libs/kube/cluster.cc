#include "libs/kube/cluster.h"

#include <cstdlib>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/files/settled_file.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::kube {
namespace {

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  constexpr int kAttempts = 20;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    absl::StatusOr<files::SettledFile> file = files::ReadSettledFile(
        path, std::nullopt, files::SettledFileOptions(), absl::Now());
    if (!file.ok()) return Annotate(file.status(), path);
    if (file->text) return *std::move(file->text);
    absl::SleepFor(absl::Milliseconds(10));
  }
  return absl::UnavailableError(
      absl::StrCat(path, ": somebody writes it all the time"));
}

absl::Status CheckCluster(const Cluster& cluster) {
  const bool secret = !cluster.token.empty() || !cluster.token_file.empty();
  const std::string& host = cluster.server.host;
  const bool here =
      host == "localhost" || host == "::1" || absl::StartsWith(host, "127.");
  if (cluster.server.scheme == "https" || !secret || here) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("a token for ", cluster.server.ToString(),
                   " would travel in the clear, use https"));
}

absl::StatusOr<Cluster> InCluster(const std::string& directory) {
  std::string host = Environment("KUBERNETES_SERVICE_HOST");
  const std::string port = Environment("KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty()) {
    return absl::NotFoundError(
        "not in a Kubernetes pod: KUBERNETES_SERVICE_HOST and "
        "KUBERNETES_SERVICE_PORT are not set; give a kubeconfig");
  }
  if (absl::StrContains(host, ':')) host = absl::StrCat("[", host, "]");
  Cluster cluster;
  ASSIGN_OR_RETURN(cluster.server,
                   http::Url::Parse(absl::StrCat("https://", host, ":", port)));
  cluster.tls.ca_file = directory + "/ca.crt";
  cluster.token_file = directory + "/token";
  // Each must be there, now and not at the first request.
  RETURN_IF_ERROR(ReadSmallFile(cluster.tls.ca_file).status());
  RETURN_IF_ERROR(ReadSmallFile(cluster.token_file).status());
  ASSIGN_OR_RETURN(const std::string name,
                   ReadSmallFile(directory + "/namespace"));
  cluster.namespace_name = std::string(absl::StripAsciiWhitespace(name));
  return cluster;
}

}  // namespace insula::kube
