#include "libs/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace insula::metrics {
namespace {

using testing::HasSubstr;

TEST(MetricsTest, ExposesACounterWithItsHelpAndType) {
  Registry registry;
  registry.AddCounter("refused_total", "Samples refused.", {{"reason", "rate"}})
      .Increment(3);

  EXPECT_EQ(registry.Expose(),
            "# HELP refused_total Samples refused.\n"
            "# TYPE refused_total counter\n"
            "refused_total{reason=\"rate\"} 3\n");
}

TEST(MetricsTest, TheSameNameAndLabelsAreTheSameChild) {
  Registry registry;
  Counter& first = registry.AddCounter("c_total", "C.", {{"a", "1"}});
  Counter& again = registry.AddCounter("c_total", "C.", {{"a", "1"}});
  Counter& other = registry.AddCounter("c_total", "C.", {{"a", "2"}});

  EXPECT_EQ(&first, &again);
  EXPECT_NE(&first, &other);
  first.Increment();
  again.Increment();
  EXPECT_EQ(first.Value(), 2);
  EXPECT_EQ(other.Value(), 0);
}

TEST(MetricsTest, AGaugeGoesBothWays) {
  Registry registry;
  Gauge& gauge = registry.AddGauge("depth", "Depth.");
  gauge.Set(5);
  gauge.Add(-2);

  EXPECT_EQ(gauge.Value(), 3);
  EXPECT_THAT(registry.Expose(), HasSubstr("# TYPE depth gauge\ndepth 3\n"));
}

TEST(MetricsTest, AHistogramCountsIntoItsBuckets) {
  Registry registry;
  Histogram& histogram =
      registry.AddHistogram("wait_seconds", "Wait.", {}, {0.1, 1});
  histogram.Observe(0.5);
  histogram.Observe(2);

  EXPECT_EQ(registry.Expose(),
            "# HELP wait_seconds Wait.\n"
            "# TYPE wait_seconds histogram\n"
            "wait_seconds_count 2\n"
            "wait_seconds_sum 2.5\n"
            "wait_seconds_bucket{le=\"0.1\"} 0\n"
            "wait_seconds_bucket{le=\"1\"} 1\n"
            "wait_seconds_bucket{le=\"+Inf\"} 2\n");
}

TEST(MetricsTest, LabelValuesAreEscaped) {
  Registry registry;
  registry.AddGauge("g", "G.", {{"v", "a\"b\\c\nd"}});

  EXPECT_THAT(registry.Expose(), HasSubstr("g{v=\"a\\\"b\\\\c\\nd\"} 0\n"));
}

TEST(MetricsTest, UpdatesRunBeforeEachExpositionAndMayAddChildren) {
  Registry registry;
  int runs = 0;
  const CollectHook hook = registry.OnCollect(
      [&] { registry.AddGauge("runs", "Runs.").Set(++runs); });

  EXPECT_THAT(registry.Expose(), HasSubstr("\nruns 1\n"));
  EXPECT_THAT(registry.Expose(), HasSubstr("\nruns 2\n"));
}

TEST(MetricsTest, AnUpdateEndsWithItsHook) {
  int runs = 0;
  CollectHook outliving;
  {
    Registry registry;
    outliving = registry.OnCollect([&] { runs += 100; });
    {
      const CollectHook hook = registry.OnCollect([&] { ++runs; });
      registry.Expose();
      EXPECT_EQ(runs, 101);
    }
    registry.Expose();
    EXPECT_EQ(runs, 201);
  }
}

// Else one that waits for a lock under which another is added would wait for
// ever.
TEST(MetricsTest, OthersAreAddedAndEndWhileAnUpdateRuns) {
  Registry registry;
  int runs = 0;
  int of_another = 0;
  CollectHook another;
  const CollectHook hook = registry.OnCollect([&] {
    another = CollectHook();
    another = registry.OnCollect([&] { ++of_another; });
    ++runs;
  });
  registry.Expose();
  registry.Expose();
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(of_another, 0);  // Each ended before its turn.
}

TEST(MetricsTest, ManyThreadsMayAddAndCount) {
  Registry registry;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 250; ++n) {
        registry.AddCounter("c_total", "C.", {{"n", std::to_string(n % 5)}})
            .Increment();
        if (n % 50 == 0) registry.Expose();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(registry.AddCounter("c_total", "C.", {{"n", "0"}}).Value(), 200);
}

TEST(MetricsDeathTest, AnInvalidNameOrASecondTypeAborts) {
  EXPECT_DEATH(Registry().AddCounter("not a name", "X."),
               "metric 'not a name' can't be added");
  EXPECT_DEATH(
      {
        Registry registry;
        registry.AddCounter("twice", "X.");
        registry.AddGauge("twice", "X.");
      },
      "metric 'twice' can't be added");
}

}  // namespace
}  // namespace insula::metrics
