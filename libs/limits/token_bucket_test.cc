#include "libs/limits/token_bucket.h"

#include <gmock/gmock.h>

namespace insula::limits {
namespace {

using testing::Eq;
using testing::Optional;

constexpr absl::Time kStart = absl::UnixEpoch();

TEST(TokenBucketTest, AdmitsABurstThenAsksToWaitForTheRest) {
  TokenBucket bucket({.rate = 10, .burst = 20}, kStart);

  EXPECT_THAT(bucket.Take(20, kStart), Eq(std::nullopt));
  EXPECT_THAT(bucket.Take(5, kStart), Optional(absl::Milliseconds(500)));
}

TEST(TokenBucketTest, ARefusedTakeCostsNothing) {
  TokenBucket bucket({.rate = 10, .burst = 20}, kStart);
  ASSERT_THAT(bucket.Take(15, kStart), Eq(std::nullopt));

  ASSERT_THAT(bucket.Take(6, kStart), Optional(absl::Milliseconds(100)));
  EXPECT_THAT(bucket.Take(5, kStart), Eq(std::nullopt));
}

TEST(TokenBucketTest, AdmitsAgainAfterTheWaitThatItAskedFor) {
  TokenBucket bucket({.rate = 10, .burst = 20}, kStart);
  ASSERT_THAT(bucket.Take(20, kStart), Eq(std::nullopt));
  const auto wait = bucket.Take(7, kStart);
  ASSERT_TRUE(wait.has_value());

  EXPECT_THAT(bucket.Take(7, kStart + *wait), Eq(std::nullopt));
}

TEST(TokenBucketTest, NeverHoldsMoreThanTheBurst) {
  TokenBucket bucket({.rate = 10, .burst = 20}, kStart);
  const absl::Time later = kStart + absl::Hours(1);

  EXPECT_THAT(bucket.Take(20, later), Eq(std::nullopt));
  EXPECT_THAT(bucket.Take(1, later), Optional(absl::Milliseconds(100)));
}

TEST(TokenBucketTest, SaysThatMoreThanTheBurstIsNeverAdmitted) {
  TokenBucket bucket({.rate = 10, .burst = 20}, kStart);

  EXPECT_THAT(bucket.Take(21, kStart), Optional(absl::InfiniteDuration()));
}

TEST(TokenBucketTest, AddsNothingWhenTimeRunsBackwards) {
  TokenBucket bucket({.rate = 10, .burst = 20}, kStart);
  ASSERT_THAT(bucket.Take(20, kStart), Eq(std::nullopt));

  EXPECT_THAT(bucket.Take(1, kStart - absl::Hours(1)),
              Optional(absl::Milliseconds(100)));
  EXPECT_THAT(bucket.Take(1, kStart), Optional(absl::Milliseconds(100)));
}

TEST(TokenBucketTest, TakesBackWhatWasNotUsedUpToTheBurst) {
  TokenBucket bucket({.rate = 10, .burst = 20}, kStart);
  ASSERT_THAT(bucket.Take(20, kStart), Eq(std::nullopt));
  bucket.Return(15);
  EXPECT_THAT(bucket.Take(16, kStart), Optional(absl::Milliseconds(100)));
  bucket.Return(100);
  EXPECT_THAT(bucket.Take(20, kStart), Eq(std::nullopt));
  EXPECT_THAT(bucket.Take(1, kStart), Optional(absl::Milliseconds(100)));
}

TEST(TokenBucketTest, ReconfiguringKeepsTokensUpToTheNewBurst) {
  TokenBucket bucket({.rate = 10, .burst = 20}, kStart);
  bucket.Reconfigure({.rate = 1, .burst = 5}, kStart);

  EXPECT_THAT(bucket.Take(5, kStart), Eq(std::nullopt));
  EXPECT_THAT(bucket.Take(2, kStart), Optional(absl::Seconds(2)));
}

}  // namespace
}  // namespace insula::limits
