// The bindings of those who call the registry, from the registry itself.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/rpc/callers.h"
#include "services/tenant_registry/registry.h"

namespace insula::tenant_registry {

// Looks at what was committed last.
class RegistryBindings final : public rpc::CallerBindings {
 public:
  explicit RegistryBindings(std::shared_ptr<const Registry> registry);

  absl::StatusOr<Answer> Find(const rpc::PeerNames& names, v1::Role role,
                              absl::string_view tenant_id) const override;

 private:
  const std::shared_ptr<const Registry> registry_;
};

}  // namespace insula::tenant_registry
