#include "libs/rpc/roles.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "insula/registry/v1/options.pb.h"
#include "libs/status/status_macros.h"

namespace insula::rpc {
namespace {

namespace v1 = ::insula::registry::v1;
using google::protobuf::FieldDescriptor;
using google::protobuf::MethodDescriptor;

absl::Status Wrong(const MethodDescriptor& method, absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat("method ", method.full_name(), " ", what));
}

// How many methods of the file take the request of `method`.
int MethodsWithItsRequest(const MethodDescriptor& method) {
  const auto* const file = method.file();
  int count = 0;
  for (int i = 0; i < file->service_count(); ++i) {
    for (int j = 0; j < file->service(i)->method_count(); ++j) {
      if (file->service(i)->method(j)->input_type() == method.input_type()) {
        ++count;
      }
    }
  }
  return count;
}

absl::Status CheckMethod(const MethodDescriptor& method) {
  const v1::Role role = RequiredRole(method);
  if (role == v1::ROLE_UNSPECIFIED) {
    return Wrong(method,
                 "does not say who may call it; add option "
                 "(insula.registry.v1.required_role) to it in the proto file");
  }
  const std::string& name = method.options().GetExtension(v1::tenant_field);
  if (!name.empty() && TenantField(method) == nullptr) {
    return Wrong(method, absl::StrCat("names the tenant_field '", name,
                                      "', which is no string of its request"));
  }
  // A request tells which method it is of; see CheckRequest() of callers.h.
  if (IsOfATenant(role) && (method.input_type()->file() != method.file() ||
                            MethodsWithItsRequest(method) != 1)) {
    return Wrong(method,
                 "has a role of a tenant and so must have a request that no "
                 "other method has, in its own file");
  }
  return absl::OkStatus();
}

}  // namespace

v1::Role RequiredRole(const MethodDescriptor& method) {
  const v1::Role role = method.options().GetExtension(v1::required_role);
  return v1::Role_IsValid(role) ? role : v1::ROLE_UNSPECIFIED;
}

bool IsOfATenant(v1::Role role) {
  return role == v1::ROLE_WRITE || role == v1::ROLE_READ ||
         role == v1::ROLE_RULES || role == v1::ROLE_FEDERATE;
}

const FieldDescriptor* TenantField(const MethodDescriptor& method) {
  const FieldDescriptor* const field = method.input_type()->FindFieldByName(
      method.options().GetExtension(v1::tenant_field));
  return field != nullptr && field->type() == FieldDescriptor::TYPE_STRING &&
                 !field->is_repeated()
             ? field
             : nullptr;
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
      RETURN_IF_ERROR(CheckMethod(*service->method(i)));
    }
  }
  return absl::OkStatus();
}

}  // namespace insula::rpc
