#include "libs/tenancy/endpoints.h"

#include <gtest/gtest.h>

#include <utility>

#include "absl/time/time.h"
#include "libs/promql/parser.h"
#include "libs/remote_write/checks.h"
#include "libs/tenancy/snapshot.h"

namespace insula::tenancy {
namespace {

TEST(EndpointsTest, AnObjectThatDoesNotSayHasTheDefaults) {
  EXPECT_EQ(TenantHeaderOf(v1::Upstream()), "X-Scope-OrgID");
  EXPECT_EQ(TenantHeaderOf(v1::RuleTarget()), "X-Scope-OrgID");
  EXPECT_EQ(WriteTimeoutOf(v1::Upstream()), absl::Seconds(30));
  EXPECT_EQ(ReadTimeoutOf(v1::Upstream()), absl::Minutes(2));
  EXPECT_EQ(TimeoutOf(v1::RuleTarget()), absl::Seconds(30));
}

TEST(EndpointsTest, WhatAnObjectSaysHolds) {
  v1::Upstream upstream;
  upstream.set_tenant_header("THANOS-TENANT");
  upstream.mutable_timeout()->set_seconds(1);
  upstream.mutable_timeout()->set_nanos(500'000'000);
  v1::RuleTarget target;
  target.set_tenant_header("X-Tenant");
  target.mutable_timeout()->set_nanos(20'000'000);

  EXPECT_EQ(TenantHeaderOf(upstream), "THANOS-TENANT");
  EXPECT_EQ(WriteTimeoutOf(upstream), absl::Milliseconds(1500));
  EXPECT_EQ(ReadTimeoutOf(upstream), absl::Milliseconds(1500));
  EXPECT_EQ(TenantHeaderOf(target), "X-Tenant");
  EXPECT_EQ(TimeoutOf(target), absl::Milliseconds(20));
}

// The libraries below have the limits as defaults of their own.
TEST(EndpointsTest, ATenantWithoutLimitsHasThoseOfTheLibraries) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_TENANT);
  object.mutable_meta()->set_id("red");
  object.mutable_tenant();
  SnapshotBuilder builder((Snapshot()));
  builder.PutChecked(object);
  const auto snapshot = std::move(builder).Build(1, "epoch");
  const v1::Limits& limits = snapshot->LimitsOf(*snapshot->FindTenant("red"));

  const remote_write::SeriesLimits series;
  EXPECT_EQ(limits.max_label_names(), series.max_label_names);
  EXPECT_EQ(limits.max_label_name_bytes(), series.max_label_name_bytes);
  EXPECT_EQ(limits.max_label_value_bytes(), series.max_label_value_bytes);
  EXPECT_EQ(limits.max_query_bytes(), promql::ParseOptions().max_bytes);
}

}  // namespace
}  // namespace insula::tenancy
