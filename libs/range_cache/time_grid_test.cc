#include "libs/range_cache/time_grid.h"

#include <gmock/gmock.h>

#include "libs/range_cache/cache_key.h"

namespace insula::range_cache {
namespace {

using ::testing::Eq;
using ::testing::Ne;
using ::testing::Optional;

constexpr int64_t kDay = 86'400'000;

absl::Time At(double seconds) {
  return absl::UnixEpoch() + absl::Seconds(seconds);
}

TEST(StepsTest, KeepTheTimesOfTheUser) {
  EXPECT_THAT(StepsOf(At(1000.123), At(1061), absl::Seconds(15)),
              Optional(Eq(Steps{1'000'123, 15'000, 5})));
  EXPECT_THAT(StepsOf(At(1000), At(1000), absl::Seconds(15)),
              Optional(Eq(Steps{1'000'000, 15'000, 1})));
  EXPECT_THAT(StepsOf(At(-20), At(-1), absl::Seconds(10)),
              Optional(Eq(Steps{-20'000, 10'000, 2})));
}

TEST(StepsTest, AreNotGuessed) {
  EXPECT_THAT(StepsOf(At(2), At(1), absl::Seconds(1)), Eq(std::nullopt));
  EXPECT_THAT(StepsOf(At(1), At(2), absl::ZeroDuration()), Eq(std::nullopt));
  EXPECT_THAT(StepsOf(At(1), At(2), absl::Microseconds(1500)),
              Eq(std::nullopt));
  EXPECT_THAT(StepsOf(At(1), At(2), absl::InfiniteDuration()),
              Eq(std::nullopt));
  EXPECT_THAT(StepsOf(absl::InfinitePast(), At(2), absl::Seconds(1)),
              Eq(std::nullopt));
  EXPECT_THAT(StepsOf(At(1), absl::InfiniteFuture(), absl::Seconds(1)),
              Eq(std::nullopt));
}

TEST(StepsTest, WithinIsCutAtStepsOnly) {
  const Steps steps{1000, 10, 5};  // 1000 to 1040.
  EXPECT_THAT(steps.Within(0, 5000), Optional(Eq(steps)));
  EXPECT_THAT(steps.Within(1001, 1039), Optional(Eq(Steps{1010, 10, 3})));
  EXPECT_THAT(steps.Within(1010, 1010), Optional(Eq(Steps{1010, 10, 1})));
  EXPECT_THAT(steps.Within(1011, 1019), Eq(std::nullopt));
  EXPECT_THAT(steps.Within(0, 999), Eq(std::nullopt));
  EXPECT_THAT(steps.Within(1041, 5000), Eq(std::nullopt));
}

TEST(SplitTest, EachStepIsInOnePiece) {
  for (const int64_t step : {int64_t{7'001}, 3'600'000 * int64_t{5}, kDay}) {
    for (const int64_t first : {-3 * kDay + 17, int64_t{0}, kDay - 1, kDay}) {
      const Steps steps{first, step, 40'000};
      int64_t at = first;
      int64_t count = 0;
      int64_t before = -1'000'000;
      for (const PieceSteps& piece : SplitByPiece(steps)) {
        EXPECT_THAT(piece.steps.first, Eq(at));
        EXPECT_LE(piece.piece * PieceLength(step), piece.steps.first);
        EXPECT_LT(piece.steps.last(), (piece.piece + 1) * PieceLength(step));
        EXPECT_LT(before, piece.piece);
        before = piece.piece;
        at = piece.steps.at(piece.steps.count);
        count += piece.steps.count;
      }
      EXPECT_THAT(count, Eq(40'000));
    }
  }
}

TEST(SplitTest, WideStepsHaveLongPieces) {
  EXPECT_THAT(PieceLength(15'000), Eq(kDay));
  EXPECT_THAT(PieceLength(172'800), Eq(kDay));
  EXPECT_THAT(PieceLength(172'801), Eq(2 * kDay));
  EXPECT_THAT(PieceLength(kDay), Eq(500 * kDay));
}

TEST(CacheKeyTest, TellsApartWhatIsCutElsewhere) {
  const Steps steps{1000, 10, 5};
  RangeQuery query;
  query.tenant_uid = "ab";
  query.policy = "c";
  query.scope = {"d", "e"};
  query.text = "up";
  const std::string key = CacheKey(query, steps, 1);

  RangeQuery other = query;
  other.tenant_uid = "a";
  other.policy = "bc";
  EXPECT_THAT(CacheKey(other, steps, 1), Ne(key));
  other = query;
  other.scope = {"de"};
  EXPECT_THAT(CacheKey(other, steps, 1), Ne(key));
  other.scope = {"d"};
  other.text = "eup";
  EXPECT_THAT(CacheKey(other, steps, 1), Ne(key));
  other = query;
  other.policy = "C";
  EXPECT_THAT(CacheKey(other, steps, 1), Ne(key));
  EXPECT_THAT(CacheKey(query, steps, 2), Ne(key));
  EXPECT_THAT(CacheKey(query, Steps{1000, 20, 5}, 1), Ne(key));
  EXPECT_THAT(CacheKey(query, Steps{1001, 10, 5}, 1), Ne(key));
}

TEST(CacheKeyTest, IsThatOfTheGridNotOfStartAndEnd) {
  RangeQuery query;
  query.text = "up";
  const std::string key = CacheKey(query, Steps{1003, 10, 5}, 0);
  query.start = At(7);
  EXPECT_THAT(CacheKey(query, Steps{1013, 10, 1}, 0), Eq(key));
  EXPECT_THAT(CacheKey(query, Steps{-7, 10, 1}, 0), Eq(key));
}

}  // namespace
}  // namespace insula::range_cache
