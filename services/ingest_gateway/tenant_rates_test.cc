#include "services/ingest_gateway/tenant_rates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace insula::ingest_gateway {
namespace {

using remote_write::Counts;
using remote_write::Reason;
using tenancy::v1::Limits;

const absl::Time kStart = absl::FromUnixSeconds(1'000'000);

Counts Of(int64_t series, int64_t samples) {
  Counts counts;
  counts.series = series;
  counts.samples = samples;
  return counts;
}

TEST(TenantRatesTest, TakesEverythingWithoutLimits) {
  TenantRates rates;
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(
        rates.Take("red", Limits(), Of(100'000, 100'000), 1 << 30, kStart));
  }
}

TEST(TenantRatesTest, BoundsTheSeriesOfAWrite) {
  TenantRates rates;
  Limits limits;
  limits.set_max_series_per_write(10);
  EXPECT_FALSE(rates.Take("red", limits, Of(10, 1000), 1, kStart));
  const auto excess = rates.Take("red", limits, Of(11, 11), 1, kStart);
  ASSERT_TRUE(excess.has_value());
  EXPECT_EQ(excess->reason, Reason::kMaxSeriesPerWrite);
  EXPECT_EQ(excess->limit, 10);
  EXPECT_EQ(excess->wait, absl::ZeroDuration());
}

TEST(TenantRatesTest, BoundsRequestsASecondOfEachTenantByItself) {
  TenantRates rates;
  Limits limits;
  limits.set_write_requests_per_second(2);
  limits.set_write_requests_burst(1);
  EXPECT_FALSE(rates.Take("red", limits, Of(1, 1), 1, kStart));
  const auto excess = rates.Take("red", limits, Of(1, 1), 1, kStart);
  ASSERT_TRUE(excess.has_value());
  EXPECT_EQ(excess->reason, Reason::kRequestRateLimited);
  EXPECT_EQ(excess->limit, 2);
  EXPECT_EQ(excess->wait, absl::Milliseconds(500));
  EXPECT_FALSE(rates.Take("blue", limits, Of(1, 1), 1, kStart));
  EXPECT_FALSE(
      rates.Take("red", limits, Of(1, 1), 1, kStart + absl::Seconds(1)));
}

TEST(TenantRatesTest, BoundsBytesASecond) {
  TenantRates rates;
  Limits limits;
  limits.set_write_bytes_per_second(100);
  limits.set_write_bytes_burst(1000);
  EXPECT_FALSE(rates.Take("red", limits, Of(1, 1), 1000, kStart));
  auto excess = rates.Take("red", limits, Of(1, 1), 50, kStart);
  ASSERT_TRUE(excess.has_value());
  EXPECT_EQ(excess->reason, Reason::kBytesRateLimited);
  EXPECT_EQ(excess->wait, absl::Milliseconds(500));
  excess = rates.Take("red", limits, Of(1, 1), 1001, kStart);
  ASSERT_TRUE(excess.has_value());
  EXPECT_EQ(excess->reason, Reason::kBurstExceeded);
  EXPECT_EQ(excess->limit, 1000);
}

TEST(TenantRatesTest, APartThatIsRefusedUsesNothingUp) {
  TenantRates rates;
  Limits limits;
  limits.set_write_requests_per_second(1);
  limits.set_write_requests_burst(2);
  limits.set_write_bytes_per_second(1);
  limits.set_write_bytes_burst(10);
  limits.set_samples_per_second(1);
  limits.set_samples_burst(5);
  for (int i = 0; i < 10; ++i) {
    const auto excess = rates.Take("red", limits, Of(1, 6), 10, kStart);
    ASSERT_TRUE(excess.has_value());
    EXPECT_EQ(excess->reason, Reason::kBurstExceeded);
    EXPECT_EQ(excess->limit, 5);
  }
  EXPECT_FALSE(rates.Take("red", limits, Of(1, 5), 10, kStart));
}

TEST(TenantRatesTest, AChangedLimitHoldsAtOnce) {
  TenantRates rates;
  Limits limits;
  limits.set_samples_per_second(1);
  limits.set_samples_burst(1);
  ASSERT_FALSE(rates.Take("red", limits, Of(1, 1), 1, kStart));
  EXPECT_TRUE(rates.Take("red", limits, Of(1, 1), 1, kStart).has_value());
  EXPECT_FALSE(rates.Take("red", Limits(), Of(1, 1), 1, kStart));
}

}  // namespace
}  // namespace insula::ingest_gateway
