#include "libs/range_cache/query_traits.h"

#include <gmock/gmock.h>

#include "absl/status/status.h"
#include "libs/status/status_matchers.h"

namespace insula::range_cache {
namespace {

using ::testing::Eq;

QueryTraits Of(absl::string_view text) {
  const auto traits = TraitsOf(text);
  EXPECT_TRUE(traits.ok()) << traits.status();
  return traits.value_or(QueryTraits());
}

TEST(QueryTraitsTest, PlainQueriesAreDivisibleAndLookBack) {
  const QueryTraits traits =
      Of("sum by (job) (rate(http_requests_total[5m] offset 1h)) / time()");
  EXPECT_TRUE(traits.divisible);
  EXPECT_THAT(traits.ahead, Eq(absl::ZeroDuration()));
  EXPECT_THAT(traits.pinned, Eq(absl::InfinitePast()));
}

TEST(QueryTraitsTest, TheEndsOfTheRangeMakeAQueryIndivisible) {
  EXPECT_FALSE(Of("up @ end()").divisible);
  EXPECT_FALSE(Of("up @ start()").divisible);
  EXPECT_FALSE(Of("topk(scalar(count(up @ end())), up)").divisible);
  EXPECT_FALSE(Of("1 + max_over_time(up[1h:1m] @ start())").divisible);
}

TEST(QueryTraitsTest, SoDoesWhatTellsAboutTheRange) {
  EXPECT_FALSE(Of("up / range()").divisible);
  EXPECT_FALSE(Of("time() - start()").divisible);
  EXPECT_FALSE(Of("rate(up[5m + step()])").divisible);
  EXPECT_FALSE(Of("max_over_time(up[1h:step() * 2])").divisible);
  EXPECT_FALSE(Of("up offset (1m * 2)").divisible);
  EXPECT_FALSE(Of("rate(up[5m] smoothed)").divisible);
  EXPECT_TRUE(Of("rate(up[5m] anchored) + step()").divisible);
}

TEST(QueryTraitsTest, NegativeOffsetsAddUp) {
  EXPECT_THAT(Of("up offset -5m").ahead, Eq(absl::Minutes(5)));
  EXPECT_THAT(Of("max_over_time((up offset -5m)[1h:1m] offset -1h)").ahead,
              Eq(absl::Minutes(65)));
  EXPECT_THAT(Of("max_over_time((up offset -5m)[1h:1m] offset 1h)").ahead,
              Eq(absl::Minutes(5)));
}

TEST(QueryTraitsTest, TheLatestPinnedTimeCountsWithWhatIsAhead) {
  const absl::Time at = absl::UnixEpoch() + absl::Seconds(2000);
  EXPECT_THAT(Of("up @ 1000 + up @ 2000 + up @ 1500").pinned, Eq(at));
  EXPECT_THAT(Of("up @ 2000 offset -1m").pinned, Eq(at + absl::Minutes(1)));
}

TEST(QueryTraitsTest, TextThatIsNoQueryIsRefused) {
  EXPECT_THAT(TraitsOf("up{").status().code(),
              Eq(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace insula::range_cache
