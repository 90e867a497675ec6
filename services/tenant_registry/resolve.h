// What a Resolve looks at, out of all objects.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "insula/registry/v1/registry.pb.h"
#include "services/tenant_registry/object.h"
#include "services/tenant_registry/state.h"

namespace insula::tenant_registry {

// Objects at one revision. Collected at once, so that the rest of a Resolve
// needs no lock.
struct ResolveObjects {
  int64_t revision = 0;
  std::vector<ObjectPtr> objects;  // Some may be there more than once.
  size_t tenants = 0;              // How many tenants they suffice for.
};

// The binding that `request` asks for, and the first of its tenants, at most
// `max_tenants`, or the tenant that it asks for, with all that says what they
// may do: their upstreams, limits, rule targets and Access objects, and the
// source tenants of those. After `max_objects` no further tenant is begun.
// Empty if there is no such subject.
ResolveObjects CollectForResolve(const State& state,
                                 const v1::ResolveRequest& request,
                                 size_t max_tenants, size_t max_objects);

}  // namespace insula::tenant_registry
