// Which bindings recognize a principal.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/auth/verifier.h"
#include "libs/tenancy/fact.h"
#include "libs/tenancy/snapshot.h"

namespace insula::auth {

// A principal may have so many facts; one with more is refused.
constexpr size_t kMaxFacts = 512;

// The keys of everything that a binding could know it by. PERMISSION_DENIED if
// there are too many.
absl::StatusOr<std::vector<tenancy::FactKey>> FactKeysOf(
    const Principal& principal);

// The bindings that name it, and whose required claims it has: at least one,
// none twice, sorted by id, those last that need an access review.
// PERMISSION_DENIED if there is none; the message names the principal.
absl::StatusOr<std::vector<const tenancy::Binding*>> BindingsOf(
    const tenancy::Snapshot& snapshot, const Principal& principal);

// What an access review must allow of those who use `binding`.
std::optional<registry::v1::KubernetesAccess> AccessReviewOf(
    const tenancy::Binding& binding);

}  // namespace insula::auth
