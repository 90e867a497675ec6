#include "services/ingest_gateway/usage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace insula::ingest_gateway {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

const absl::Time kStart = absl::FromUnixSeconds(1'000'000);

Traffic Samples(int64_t samples) {
  Traffic traffic;
  traffic.requests = 1;
  traffic.series = samples;
  traffic.samples = samples;
  traffic.bytes = 100 * samples;
  return traffic;
}

TEST(UsageTest, CountsByTenantThoseWithMostSamplesFirst) {
  Usage usage;
  usage.Note("red", "1", Samples(10), "up", kStart);
  usage.Note("blue", "2", Samples(30), "up", kStart);
  usage.Note("red", "1", Samples(5), "up", kStart);
  const auto reports = usage.Reports(10, "", kStart);
  ASSERT_THAT(reports, SizeIs(2));
  EXPECT_EQ(reports[0].tenant, "blue");
  EXPECT_EQ(reports[1].tenant, "red");
  EXPECT_EQ(reports[1].total.samples, 15);
  EXPECT_EQ(reports[1].total.requests, 2);
  EXPECT_EQ(reports[1].total.bytes, 1500);
  EXPECT_THAT(usage.Reports(1, "", kStart), SizeIs(1));
  EXPECT_THAT(usage.Reports(10, "red", kStart), SizeIs(1));
  EXPECT_THAT(usage.Reports(10, "green", kStart), IsEmpty());
}

TEST(UsageTest, RatesAreOfTheLastMinute) {
  Usage usage;
  for (int second = 0; second < 300; ++second) {
    // Ten times as much as later.
    usage.Note("red", "1", Samples(second < 200 ? 100 : 10), "",
               kStart + absl::Seconds(second));
  }
  const auto report = usage.Reports(1, "red", kStart + absl::Seconds(299))[0];
  EXPECT_EQ(report.total.samples, 200 * 100 + 100 * 10);
  EXPECT_GE(report.seconds, 60);
  EXPECT_LE(report.seconds, 70);
  EXPECT_NEAR(static_cast<double>(report.recent.samples) / report.seconds, 10,
              0.2);
  // And then it is silent.
  const auto later = usage.Reports(1, "red", kStart + absl::Seconds(400))[0];
  EXPECT_EQ(later.recent.samples, 0);
  EXPECT_EQ(later.total.samples, report.total.samples);
}

TEST(UsageTest, AtFirstRatesAreOfTheTimeSinceThen) {
  Usage usage;
  for (int second = 0; second <= 5; ++second) {
    usage.Note("red", "1", Samples(10), "", kStart + absl::Seconds(second));
  }
  const auto report = usage.Reports(1, "red", kStart + absl::Seconds(5))[0];
  EXPECT_THAT(report.seconds, DoubleEq(5));
  EXPECT_EQ(report.recent.samples, 60);
}

TEST(UsageTest, ATenantThatIsMadeAgainInheritsNothing) {
  Usage usage;
  usage.Note("red", "1", Samples(10), "up", kStart);
  usage.Note("red", "2", Samples(1), "down", kStart);
  const auto report = usage.Reports(1, "red", kStart)[0];
  EXPECT_EQ(report.uid, "2");
  EXPECT_EQ(report.total.samples, 1);
  EXPECT_THAT(report.top_metrics, ElementsAre(Pair("down", 1.0)));
}

TEST(UsageTest, NamesTheMetricsWithMostSeries) {
  Usage usage;
  for (int i = 0; i < 1000; ++i) {
    usage.Note("red", "1", Samples(6), "big", kStart);
    usage.Note("red", "1", Samples(3), "half", kStart);
    // A new name each time: none of them stays.
    usage.Note("red", "1", Samples(1), absl::StrCat("m", i), kStart);
  }
  const auto top = usage.Reports(1, "red", kStart)[0].top_metrics;
  ASSERT_THAT(top, SizeIs(10));
  EXPECT_EQ(top[0].first, "big");
  EXPECT_NEAR(top[0].second, 0.6, 0.05);
  EXPECT_EQ(top[1].first, "half");
  EXPECT_NEAR(top[1].second, 0.3, 0.05);
}

TEST(UsageTest, ForgetsTenantsThatSendNothing) {
  Usage usage;
  for (int i = 0; i < 1000; ++i) {
    usage.Note(absl::StrCat("old", i), "1", Samples(1), "", kStart);
  }
  const absl::Time later = kStart + absl::Minutes(11);
  usage.Note("new", "1", Samples(1), "", later);
  EXPECT_THAT(usage.Reports(10'000, "", later), SizeIs(1));
}

}  // namespace
}  // namespace insula::ingest_gateway
