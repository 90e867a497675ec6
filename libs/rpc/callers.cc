#include "libs/rpc/callers.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "libs/rpc/roles.h"

namespace insula::rpc {
namespace {

namespace v1 = ::insula::registry::v1;

constexpr absl::string_view kServices[] = {
    "federation-pusher", "ingest-gateway",  "query-frontend",
    "rule-sync",         "tenant-registry",
};

bool IsService(const Identity& caller, const CallerRules& rules) {
  return caller.trust_domain == rules.trust_domain &&
         std::find(std::begin(kServices), std::end(kServices),
                   caller.service) != std::end(kServices);
}

bool IsAdmin(const Identity& caller, const CallerRules& rules) {
  return std::find(rules.admins.begin(), rules.admins.end(), caller.uri) !=
         rules.admins.end();
}

}  // namespace

std::vector<v1::Role> RolesOf(const Identity& caller,
                              const CallerRules& rules) {
  std::vector<v1::Role> roles;
  if (IsAdmin(caller, rules)) {
    for (int i = v1::Role_MIN; i <= v1::Role_MAX; ++i) {
      if (v1::Role_IsValid(i) && i != v1::ROLE_UNSPECIFIED) {
        roles.push_back(static_cast<v1::Role>(i));
      }
    }
  } else if (IsService(caller, rules)) {
    roles.push_back(v1::ROLE_OPERATOR);
  }
  return roles;
}

absl::Status CheckCaller(const std::vector<std::string>& uris,
                         absl::string_view path, const CallerRules& rules) {
  absl::ConsumePrefix(&path, "/");
  if (absl::StartsWith(path, "grpc.")) return absl::OkStatus();
  const std::string name = absl::StrReplaceAll(path, {{"/", "."}});
  const auto* const method =
      google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
          name);
  if (method == nullptr) return absl::OkStatus();

  const absl::StatusOr<Identity> caller = IdentityOf(uris);
  if (!caller.ok()) {
    return absl::PermissionDeniedError(
        absl::StrCat("calling ", name, ": ", caller.status().message()));
  }
  const std::vector<v1::Role> roles = RolesOf(*caller, rules);
  const v1::Role required = RequiredRole(*method);
  if (required != v1::ROLE_UNSPECIFIED &&
      std::find(roles.begin(), roles.end(), required) != roles.end()) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(absl::StrCat(
      caller->uri, " may not call ", name, ": it needs ",
      v1::Role_Name(required),
      "; list it in internal.admins of the server, or call as who has that "
      "role"));
}

}  // namespace insula::rpc
