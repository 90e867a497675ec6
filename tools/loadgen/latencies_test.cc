#include "tools/loadgen/latencies.h"

#include <gmock/gmock.h>

namespace insula::loadgen {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::Le;

TEST(LatenciesTest, OfNothingIsZero) {
  EXPECT_EQ(Latencies().Quantile(0.99), absl::ZeroDuration());
}

TEST(LatenciesTest, TellsAnyDurationWithinASixtyFourth) {
  for (absl::Duration took = absl::Microseconds(1); took < absl::Hours(19);
       took = took * 1.37 + absl::Microseconds(1)) {
    Latencies latencies;
    latencies.Add(took);
    latencies.Add(absl::Hours(19));
    EXPECT_THAT(latencies.Quantile(0.5),
                AllOf(Ge(absl::Floor(took, absl::Microseconds(1))),
                      Le(took * (1 + 1.0 / 64) + absl::Microseconds(1))))
        << took;
  }
}

TEST(LatenciesTest, TheNinetyNinthIsAboveNinetyNineOfAHundred) {
  Latencies latencies;
  for (int i = 0; i < 99; ++i) latencies.Add(absl::Milliseconds(10));
  latencies.Add(absl::Seconds(2));
  EXPECT_LE(latencies.Quantile(0.99), absl::Milliseconds(10.2));
  EXPECT_EQ(latencies.Quantile(1), absl::Seconds(2));
  latencies.Add(absl::Seconds(2));
  EXPECT_EQ(latencies.Quantile(0.99), absl::Seconds(2));
}

TEST(LatenciesTest, TakesWhatIsOutOfRange) {
  Latencies latencies;
  latencies.Add(-absl::Seconds(1));
  latencies.Add(absl::Hours(1000));
  EXPECT_LE(latencies.Quantile(0.5), absl::Microseconds(1));
  EXPECT_GE(latencies.Quantile(1), absl::Hours(19));
  EXPECT_EQ(latencies.max(), absl::Hours(1000));
}

TEST(LatenciesTest, AddsUp) {
  Latencies one;
  one.Add(absl::Milliseconds(1));
  Latencies all;
  all.Add(absl::Milliseconds(9));
  all.Add(one);
  EXPECT_EQ(all.count(), 2);
  EXPECT_LE(all.Quantile(0.5), absl::Milliseconds(1.1));
  EXPECT_EQ(all.max(), absl::Milliseconds(9));
}

}  // namespace
}  // namespace insula::loadgen
