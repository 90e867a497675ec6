// Who a credential is, what it may do and where its data goes, by the rules
// that the services apply.
#pragma once

#include <cstddef>
#include <functional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/tenancy/snapshot.h"

namespace insula::tenancy {

// How many tenants a request wants at most. INVALID_ARGUMENT, with the field
// and the cure, for a request that can't be answered from any snapshot.
absl::StatusOr<size_t> CheckResolveRequest(const v1::ResolveRequest& request);

struct ResolveOptions {
  // By which a binding may be void.
  absl::Time now;
  // Tenants that would follow so many bytes of other tenants are left out.
  size_t max_bytes = size_t{1} << 20;
  // Asked before each tenant but the first: whether there is time for another.
  // What a tenant reads may take 0.2 s to find out.
  std::function<bool()> go_on = [] { return true; };
};

// The answer to `request` by `snapshot`. A secret is neither in it nor in the
// request, which has the hash of a token.
//
// may_read, may_write: whether a request of this caller for this tenant would
// be sent to the store. A binding needs ROLE_READ or ROLE_WRITE for it and must
// not be void; a tenant that is asked for by itself has all roles. Then the
// tenant's state, its upstream and, to read, its read policy must allow it.
// refusals: everything that stands against it, with the cure, not only the
// first; lines that begin with "reads:" or "writes:" concern the one alone. It
// also tells which Access grants less than it says. `visible` is empty for
// those who may not read, and `{}` stands for all that a store shows under the
// tenant's org id.
//
// Where not all fits, the first tenants in the order of their ids are there,
// and at least one; tenant_count is that of the binding all the same.
//
// INVALID_ARGUMENT as CheckResolveRequest(). NOT_FOUND: no binding has the
// token or the id, or there is no such tenant.
absl::StatusOr<v1::ResolveResponse> Resolve(const Snapshot& snapshot,
                                            const v1::ResolveRequest& request,
                                            const ResolveOptions& options);

}  // namespace insula::tenancy
