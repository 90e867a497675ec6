#include "libs/tenancy/endpoints.h"

namespace insula::tenancy {
namespace {

std::string HeaderOr(const std::string& header) {
  return header.empty() ? std::string(kDefaultTenantHeader) : header;
}

// An object that CheckObject() has let pass has no timeout or one above 0.
template <typename Object>
absl::Duration TimeoutOr(const Object& object, absl::Duration otherwise) {
  const absl::Duration timeout = absl::Seconds(object.timeout().seconds()) +
                                 absl::Nanoseconds(object.timeout().nanos());
  return timeout > absl::ZeroDuration() ? timeout : otherwise;
}

}  // namespace

std::string TenantHeaderOf(const registry::v1::Upstream& upstream) {
  return HeaderOr(upstream.tenant_header());
}
std::string TenantHeaderOf(const registry::v1::RuleTarget& target) {
  return HeaderOr(target.tenant_header());
}

absl::Duration WriteTimeoutOf(const registry::v1::Upstream& upstream) {
  return TimeoutOr(upstream, absl::Seconds(30));
}
absl::Duration ReadTimeoutOf(const registry::v1::Upstream& upstream) {
  return TimeoutOr(upstream, absl::Minutes(2));
}
absl::Duration TimeoutOf(const registry::v1::RuleTarget& target) {
  return TimeoutOr(target, absl::Seconds(30));
}

}  // namespace insula::tenancy
