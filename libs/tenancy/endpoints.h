// What stores and evaluators of rules do when their object does not say.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"

namespace insula::tenancy {

// Names the tenant to a store, and to us where no other name is configured.
inline constexpr absl::string_view kDefaultTenantHeader = "X-Scope-OrgID";

// The header of ISOLATION_HEADER.
std::string TenantHeaderOf(const registry::v1::Upstream& upstream);
std::string TenantHeaderOf(const registry::v1::RuleTarget& target);

// The longest wait for an answer: 30 s for a write, 2 min for a read, 30 s for
// rules, if the object does not say.
absl::Duration WriteTimeoutOf(const registry::v1::Upstream& upstream);
absl::Duration ReadTimeoutOf(const registry::v1::Upstream& upstream);
absl::Duration TimeoutOf(const registry::v1::RuleTarget& target);

}  // namespace insula::tenancy
