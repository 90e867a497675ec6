// Series of a tenant are taken just when the registry's Resolve says that it
// may write.
#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_join.h"
#include "libs/tenancy/tenant_worlds.h"
#include "services/ingest_gateway/routing.h"

namespace insula::ingest_gateway {
namespace {

TEST(ResolveAgreementTest, WhoMayWriteIsRoutedAndNobodyElse) {
  int may_write = 0;
  int may_not = 0;
  for (const tenancy::TenantWorld& world : tenancy::TenantWorlds()) {
    const auto resolved = world.Resolved();
    auth::Caller caller;
    caller.snapshot = world.snapshot;
    caller.tenant = &world.red();
    const Routing routing(std::move(caller), remote_write::NameScheme::kLegacy);
    const bool routed = !routing.plan().find({}).destinations.empty();
    EXPECT_EQ(resolved.may_write(), routed)
        << world.what << ": " << absl::StrJoin(resolved.refusals(), "; ");
    if (routed) {
      EXPECT_EQ(resolved.write_url(), "http://s/w") << world.what;
    }
    ++(routed ? may_write : may_not);
  }
  EXPECT_GT(may_write, 10);
  EXPECT_GT(may_not, 10);
}

}  // namespace
}  // namespace insula::ingest_gateway
