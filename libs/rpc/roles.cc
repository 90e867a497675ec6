#include "libs/rpc/roles.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "insula/registry/v1/options.pb.h"

namespace insula::rpc {

namespace v1 = ::insula::registry::v1;

v1::Role RequiredRole(const google::protobuf::MethodDescriptor& method) {
  const v1::Role role = method.options().GetExtension(v1::required_role);
  return v1::Role_IsValid(role) ? role : v1::ROLE_UNSPECIFIED;
}

absl::Status CheckRoles(const std::vector<std::string>& services) {
  const auto* const pool = google::protobuf::DescriptorPool::generated_pool();
  for (const std::string& name : services) {
    if (absl::StartsWith(name, "grpc.")) continue;
    const auto* const service = pool->FindServiceByName(name);
    if (service == nullptr) {
      return absl::FailedPreconditionError(
          absl::StrCat("service ", name, " has no descriptor in this program"));
    }
    for (int i = 0; i < service->method_count(); ++i) {
      if (RequiredRole(*service->method(i)) != v1::ROLE_UNSPECIFIED) continue;
      return absl::FailedPreconditionError(absl::StrCat(
          "method ", service->method(i)->full_name(),
          " does not say who may call it; add option "
          "(insula.registry.v1.required_role) to it in the proto file"));
    }
  }
  return absl::OkStatus();
}

}  // namespace insula::rpc
