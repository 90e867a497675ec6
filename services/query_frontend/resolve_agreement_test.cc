// The API serves a tenant just when the registry's Resolve says that it may
// read.
#include <gtest/gtest.h>

#include <boost/asio/thread_pool.hpp>
#include <memory>

#include "absl/strings/str_join.h"
#include "libs/http/client.h"
#include "libs/metrics/metrics.h"
#include "libs/tenancy/tenant_worlds.h"
#include "services/query_frontend/policy.h"
#include "services/query_frontend/pools.h"

namespace insula::query_frontend {
namespace {

TEST(ResolveAgreementTest, WhoMayReadHasAPolicyAndNobodyElse) {
  metrics::Registry registry;
  boost::asio::thread_pool threads(1);
  Pools pools(PoolsConfig(),
              {.executor = threads.get_executor(),
               .client = std::make_shared<http::Client>(
                   http::ClientOptions(), threads.get_executor(), &registry),
               .metrics = &registry,
               .run_blocking = {}});
  int may_read = 0;
  int may_not = 0;
  for (const tenancy::TenantWorld& world : tenancy::TenantWorlds()) {
    const auto resolved = world.Resolved();
    const auto policy = PolicyOf(world.red(), *world.snapshot, &pools);
    EXPECT_EQ(resolved.may_read(), policy.ok())
        << world.what << ": " << policy.status() << "; "
        << absl::StrJoin(resolved.refusals(), "; ");
    EXPECT_EQ(resolved.visible().empty(), !policy.ok()) << world.what;
    if (policy.ok()) {
      EXPECT_EQ(resolved.query_url(), "http://s/q") << world.what;
    }
    ++(policy.ok() ? may_read : may_not);
  }
  EXPECT_GT(may_read, 10);
  EXPECT_GT(may_not, 10);
}

}  // namespace
}  // namespace insula::query_frontend
