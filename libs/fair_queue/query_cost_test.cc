#include "libs/fair_queue/query_cost.h"

#include <gmock/gmock.h>

#include "libs/promql/parser.h"

namespace insula::fair_queue {
namespace {

using ::testing::DoubleEq;
using ::testing::Eq;

QueryCost Of(absl::string_view text, int64_t steps = 1) {
  const auto query = promql::Parse(text);
  EXPECT_TRUE(query.ok()) << query.status();
  const auto cost = CostOf(**query, steps, absl::Seconds(15));
  EXPECT_TRUE(cost.ok()) << cost.status();
  return *cost;
}

TEST(QueryCostTest, IsStepsTimesSamplesOfEachSelector) {
  EXPECT_THAT(Of("up", 100).samples_per_series, DoubleEq(100));
  EXPECT_THAT(Of("rate(up[5m])", 100).samples_per_series, DoubleEq(2000));
  EXPECT_THAT(Of("up + on (job) rate(up[5m])", 100).samples_per_series,
              DoubleEq(2100));
  EXPECT_THAT(Of("rate(up[1s])").samples_per_series, DoubleEq(1));
  EXPECT_THAT(Of("1 + time()", 100).samples_per_series, DoubleEq(0));
}

TEST(QueryCostTest, ASubqueryMultiplies) {
  EXPECT_THAT(Of("max_over_time(rate(up[5m])[1h:1m])", 10).samples_per_series,
              DoubleEq(10 * 60 * 20));
  EXPECT_THAT(Of("max_over_time(up[1h:])").samples_per_series, DoubleEq(240));
  EXPECT_THAT(
      Of("max_over_time(max_over_time(up[1h:1m])[1d:1h])").samples_per_series,
      DoubleEq(24 * 60));
}

TEST(QueryCostTest, CountsSelectorsWhereverTheyAre) {
  EXPECT_THAT(Of("topk(scalar(count(a)), b) / on () (c or d)").selectors,
              Eq(4));
}

TEST(QueryCostTest, LooksBackAlongTheWay) {
  EXPECT_THAT(Of("up").lookback, Eq(absl::ZeroDuration()));
  EXPECT_THAT(Of("rate(up[5m] offset 1h)").lookback, Eq(absl::Minutes(65)));
  EXPECT_THAT(Of("max_over_time(rate(up[5m])[1h:1m] offset 1d) + up").lookback,
              Eq(absl::Hours(25) + absl::Minutes(5)));
  EXPECT_THAT(Of("up offset -1h").lookback, Eq(absl::ZeroDuration()));
}

}  // namespace
}  // namespace insula::fair_queue
