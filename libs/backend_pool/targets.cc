#include "libs/backend_pool/targets.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <exception>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/kube/json.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::backend_pool {
namespace {

absl::Status Wrong(const YAML::Node& node, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("line ", node.Mark().line + 1, ": ", what));
}

absl::StatusOr<http::Url> MakeUrl(absl::string_view scheme,
                                  absl::string_view host_port,
                                  absl::string_view path) {
  ASSIGN_OR_RETURN(http::Url url, http::Url::Parse(absl::StrCat(
                                      scheme, "://", host_port, path)));
  // A target is a host, not more of a URL.
  if (host_port.find_first_of("/?#") != absl::string_view::npos) {
    return absl::InvalidArgumentError("it is more than a host and a port");
  }
  return url;
}

absl::StatusOr<std::vector<http::Url>> ReadGroups(const YAML::Node& groups,
                                                  const http::Url& base) {
  if (!groups.IsSequence()) return Wrong(groups, "must be a list of groups");
  std::vector<http::Url> urls;
  for (const YAML::Node& group : groups) {
    if (!group.IsMap()) return Wrong(group, "must be a group with targets");
    const YAML::Node targets = group["targets"];
    if (!targets.IsDefined() || !targets.IsSequence()) {
      return Wrong(group, "targets: must be a list of host:port");
    }
    std::string scheme = base.scheme;
    const YAML::Node labels = group["labels"];
    if (labels.IsDefined() && labels.IsMap()) {
      const YAML::Node label = labels["__scheme__"];
      if (label.IsDefined() && label.IsScalar()) scheme = label.Scalar();
    }
    for (const YAML::Node& target : targets) {
      if (!target.IsScalar()) return Wrong(target, "must be host:port");
      auto url = MakeUrl(scheme, target.Scalar(), base.target);
      if (!url.ok()) {
        return Wrong(target, absl::StrCat("'", target.Scalar(),
                                          "': ", url.status().message()));
      }
      if (urls.size() == kMaxTargets) {
        return Wrong(target,
                     absl::StrCat("more than ", kMaxTargets, " targets"));
      }
      urls.push_back(*std::move(url));
    }
  }
  return urls;
}

// As Kubernetes demands of names of Services and namespaces.
bool IsDnsLabel(absl::string_view name) {
  return !name.empty() && name.size() <= 63 &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_islower(static_cast<unsigned char>(c)) ||
                  absl::ascii_isdigit(static_cast<unsigned char>(c)) ||
                  c == '-';
         });
}

// The number of the port; 0 if the Service has none such.
int PortOf(const kube::Json& service, const std::string& wanted) {
  const kube::Json& ports = kube::At(service, {"spec", "ports"});
  if (!ports.is_array()) return 0;
  for (const kube::Json& port : ports) {
    const kube::Json& number = kube::At(port, {"port"});
    if (!number.is_number_integer()) continue;
    const auto value = number.get<int64_t>();
    if (value < 1 || value > 65535) continue;
    if (wanted.empty() || kube::StringAt(port, {"name"}) == wanted ||
        absl::StrCat(value) == wanted) {
      return static_cast<int>(value);
    }
  }
  return 0;
}

}  // namespace

absl::StatusOr<std::vector<http::Url>> ParseFileTargets(absl::string_view text,
                                                        const http::Url& base) {
  try {
    return ReadGroups(YAML::Load(std::string(text)), base);
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
}

std::vector<http::Url> ServiceTargets(const std::vector<kube::Object>& services,
                                      const ServicePort& port) {
  std::vector<http::Url> urls;
  for (const kube::Object& service : services) {
    const std::string name = kube::StringAt(*service, {"metadata", "name"});
    const std::string space =
        kube::StringAt(*service, {"metadata", "namespace"});
    const int number = PortOf(*service, port.port);
    if (number == 0 || !IsDnsLabel(name) || !IsDnsLabel(space) ||
        kube::StringAt(*service, {"spec", "type"}) == "ExternalName" ||
        urls.size() == kMaxTargets) {
      continue;
    }
    const auto url = http::Url::Parse(absl::StrCat(
        port.scheme, "://", name, ".", space, ".svc:", number, port.path));
    if (url.ok()) urls.push_back(*url);
  }
  return urls;
}

}  // namespace insula::backend_pool
