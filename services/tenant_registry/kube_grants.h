// What the objects of a namespace may declare and grant.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "insula/registry/v1/objects.pb.h"
#include "services/tenant_registry/kube_declaration.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {

// What a policy says about the objects of a namespace; an empty one stands for
// the lack of one. Refers to both. Refusals are PERMISSION_DENIED "FIELD: what,
// cure".
class KubeGrants {
 public:
  KubeGrants(const std::string& name_space, const v1::Policy& policy)
      : name_space_(name_space), policy_(policy) {}

  // The tenant that MetricAccess objects speak of.
  const std::string& tenant_id() const {
    return policy_.tenant_id().empty() ? name_space_ : policy_.tenant_id();
  }
  // Whether a source or label value means that tenant: the namespace's name
  // stands for it, also where it has another.
  bool IsOwn(absl::string_view id) const {
    return id == name_space_ || id == tenant_id();
  }

  absl::Status MayDeclare(absl::string_view field,
                          const std::string& tenant) const;
  absl::Status MayRead(absl::string_view field, absl::string_view id) const;
  // The series of every tenant.
  absl::Status MayReadAll(absl::string_view field) const;
  absl::Status MayPush(const KubeRemoteWrite& push) const;

  // Whether a label says whose a series is.
  bool NamesTenants(absl::string_view label) const;

  // The tenant, but for its id and read scope.
  v1::Tenant Template(const std::string& tenant) const;

 private:
  absl::Status MayPushTo(const std::string& url) const;

  const std::string& name_space_;
  const v1::Policy& policy_;
};

// What one declaration comes to by itself.
struct KubeMeaning {
  // OK, PERMISSION_DENIED or INVALID_ARGUMENT; then the rest is empty.
  absl::Status status;
  std::map<std::string, v1::Tenant> tenants;  // By id; see Template().
  std::optional<v1::Object> access;
};

// `declaration` has no problem, `grants` are those of its namespace.
KubeMeaning UnderstandKubeObject(const KubeDeclaration& declaration,
                                 const KubeGrants& grants);

}  // namespace insula::tenant_registry
