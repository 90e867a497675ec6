#include <yaml-cpp/yaml.h>

#include <exception>
#include <filesystem>
#include <initializer_list>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libs/kube/cluster.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::kube {
namespace {

// A key of a map as text, "" if it is not there.
std::string Text(const YAML::Node& map, const std::string& key) {
  const YAML::Node value = map[key];
  return value.IsDefined() && value.IsScalar() ? value.Scalar() : "";
}

// The `member` of the element of `list` that is called `name`.
absl::StatusOr<YAML::Node> Named(const YAML::Node& root,
                                 const std::string& list,
                                 const std::string& member,
                                 const std::string& name) {
  const YAML::Node elements = root[list];
  if (elements.IsDefined() && elements.IsSequence()) {
    for (const YAML::Node& element : elements) {
      if (element.IsMap() && Text(element, "name") == name) {
        const YAML::Node found = element[member];
        if (found.IsDefined() && found.IsMap()) return found;
      }
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat(list, ": none is called '", name, "'"));
}

absl::Status Refuse(const YAML::Node& map,
                    std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const YAML::Node value = map[key];
    if (!value.IsDefined() || value.IsNull()) continue;
    if (value.IsScalar() && (value.Scalar() == "false" || value.Scalar() == ""))
      continue;
    return absl::UnimplementedError(
        absl::StrCat(key, " is not supported, use a token or a certificate"));
  }
  return absl::OkStatus();
}

// `key` names a file, `key`-data holds its content.
absl::Status ReadPem(const YAML::Node& map, const std::string& key,
                     const std::filesystem::path& directory, std::string* file,
                     std::string* pem) {
  const std::string data = Text(map, key + "-data");
  if (!data.empty()) {
    if (absl::Base64Unescape(data, pem)) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(key, "-data: not base64"));
  }
  const std::string path = Text(map, key);
  if (!path.empty()) *file = (directory / path).string();
  return absl::OkStatus();
}

absl::Status ReadCluster(const YAML::Node& map,
                         const std::filesystem::path& directory,
                         Cluster* cluster) {
  RETURN_IF_ERROR(Refuse(map, {"insecure-skip-tls-verify", "proxy-url"}));
  absl::StatusOr<http::Url> server = http::Url::Parse(Text(map, "server"));
  if (!server.ok()) return Annotate(server.status(), "server");
  cluster->server = *std::move(server);
  cluster->tls.server_name = Text(map, "tls-server-name");
  return ReadPem(map, "certificate-authority", directory, &cluster->tls.ca_file,
                 &cluster->tls.ca_pem);
}

absl::Status ReadUser(const YAML::Node& map,
                      const std::filesystem::path& directory,
                      Cluster* cluster) {
  RETURN_IF_ERROR(Refuse(map, {"exec", "auth-provider", "username", "password",
                               "as", "as-uid", "as-groups", "as-user-extra"}));
  cluster->token = Text(map, "token");
  const std::string file = Text(map, "tokenFile");
  if (!file.empty()) cluster->token_file = (directory / file).string();
  http::ClientTls& tls = cluster->tls;
  RETURN_IF_ERROR(ReadPem(map, "client-certificate", directory, &tls.cert_file,
                          &tls.cert_pem));
  RETURN_IF_ERROR(
      ReadPem(map, "client-key", directory, &tls.key_file, &tls.key_pem));
  if (tls.cert_file.empty() != tls.key_file.empty() ||
      tls.cert_pem.empty() != tls.key_pem.empty()) {
    return absl::InvalidArgumentError(
        "client-certificate: give client-key with it, both as files or both "
        "as data");
  }
  return absl::OkStatus();
}

absl::StatusOr<Cluster> Read(const YAML::Node& root,
                             const std::filesystem::path& directory,
                             absl::string_view wanted) {
  if (!root.IsMap()) return absl::InvalidArgumentError("not a map");
  const std::string name =
      wanted.empty() ? Text(root, "current-context") : std::string(wanted);
  ASSIGN_OR_RETURN(const YAML::Node context,
                   Named(root, "contexts", "context", name));
  Cluster cluster;
  const std::string cluster_name = Text(context, "cluster");
  ASSIGN_OR_RETURN(const YAML::Node cluster_map,
                   Named(root, "clusters", "cluster", cluster_name));
  RETURN_IF_ERROR(Annotate(ReadCluster(cluster_map, directory, &cluster),
                           absl::StrCat("cluster '", cluster_name, "'")));
  const std::string user_name = Text(context, "user");
  if (!user_name.empty()) {
    ASSIGN_OR_RETURN(const YAML::Node user,
                     Named(root, "users", "user", user_name));
    RETURN_IF_ERROR(Annotate(ReadUser(user, directory, &cluster),
                             absl::StrCat("user '", user_name, "'")));
  }
  const std::string home = Text(context, "namespace");
  if (!home.empty()) cluster.namespace_name = home;
  RETURN_IF_ERROR(CheckCluster(cluster));
  return cluster;
}

}  // namespace

absl::StatusOr<Cluster> ReadKubeconfig(const std::string& path,
                                       absl::string_view context) {
  ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(path));
  absl::StatusOr<Cluster> cluster = absl::InternalError("not read");
  try {
    cluster = Read(YAML::Load(text), std::filesystem::path(path).parent_path(),
                   context);
  } catch (const std::exception& error) {
    cluster = absl::InvalidArgumentError(
        absl::StrCat("not a kubeconfig: ", error.what()));
  }
  if (!cluster.ok()) return Annotate(cluster.status(), path);
  return cluster;
}

}  // namespace insula::kube
