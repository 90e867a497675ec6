// Resource files of the registry: what is taken out of one is valid.

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/tenancy/snapshot.h"
#include "services/tenant_registry/resource_file.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

FUZZ_TARGET(resource_file) {
  const auto file = tenant_registry::ParseResourceFile(input, "f.yaml");
  if (!file.ok()) {
    FUZZ_CHECK(file.status().code() == absl::StatusCode::kInvalidArgument,
               file.status().ToString());
    return;
  }
  for (const tenant_registry::Resource& resource : file->resources) {
    const absl::Status status = tenancy::CheckObject(resource.object);
    FUZZ_CHECK(status.ok(), status.ToString());
    FUZZ_CHECK(file->named.count(tenant_registry::KeyOf(resource.object)) == 1,
               resource.where);
  }
  FUZZ_CHECK(file->complete || !file->errors.empty(), input);
}

}  // namespace
}  // namespace insula
