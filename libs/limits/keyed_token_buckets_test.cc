#include "libs/limits/keyed_token_buckets.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"

namespace insula::limits {
namespace {

using testing::Eq;
using testing::Optional;

constexpr absl::Time kStart = absl::UnixEpoch();
constexpr TokenBucket::Options kTen = {.rate = 10, .burst = 10};

TEST(KeyedTokenBucketsTest, OneKeyDoesNotSpendTheTokensOfAnother) {
  KeyedTokenBuckets buckets;
  ASSERT_THAT(buckets.Take("red", kTen, 10, kStart), Eq(std::nullopt));

  EXPECT_THAT(buckets.Take("red", kTen, 1, kStart),
              Optional(absl::Milliseconds(100)));
  EXPECT_THAT(buckets.Take("blue", kTen, 10, kStart), Eq(std::nullopt));
}

TEST(KeyedTokenBucketsTest, ANewRateTakesEffectAtOnce) {
  KeyedTokenBuckets buckets;
  ASSERT_THAT(buckets.Take("red", kTen, 10, kStart), Eq(std::nullopt));

  EXPECT_THAT(buckets.Take("red", {.rate = 1, .burst = 10}, 1, kStart),
              Optional(absl::Seconds(1)));
}

TEST(KeyedTokenBucketsTest, TakesBackForTheSameKey) {
  KeyedTokenBuckets buckets;
  ASSERT_THAT(buckets.Take("red", kTen, 10, kStart), Eq(std::nullopt));
  buckets.Return("red", 4);
  buckets.Return("blue", 4);
  EXPECT_THAT(buckets.Take("red", kTen, 4, kStart), Eq(std::nullopt));
  EXPECT_EQ(buckets.size(), 1u);
}

TEST(KeyedTokenBucketsTest, ForgetsOnlyBucketsThatHaveFilledUp) {
  KeyedTokenBuckets buckets;
  for (int i = 0; i < 1000; ++i) {
    buckets.Take(absl::StrCat("old", i), kTen, 1, kStart);
  }
  const absl::Time later = kStart + absl::Seconds(2);
  ASSERT_THAT(buckets.Take("red", kTen, 10, later), Eq(std::nullopt));
  for (int i = 0; i < 1100; ++i) {
    buckets.Take(absl::StrCat("new", i), kTen, 1, later);
  }

  EXPECT_LT(buckets.size(), 1200u);
  EXPECT_THAT(buckets.Take("red", kTen, 1, later),
              Optional(absl::Milliseconds(100)));
}

}  // namespace
}  // namespace insula::limits
