// A kind of objects, as its path in the Kubernetes API names it.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace insula::kube {

struct Resource {
  std::string group;  // "apps"; empty: the core group.
  std::string version = "v1";
  std::string plural;  // "deployments"

  // "/apis/apps/v1/namespaces/NAMESPACE/deployments". Without a namespace: all
  // of them, or those of a kind that knows none.
  std::string CollectionPath(absl::string_view namespace_name) const;
  // The same of one object, and of its subresource ("status") if given.
  std::string ObjectPath(absl::string_view namespace_name,
                         absl::string_view name,
                         absl::string_view subresource = "") const;

  // "deployments.apps", as kubectl and metrics name it.
  std::string Name() const;
};

}  // namespace insula::kube
