#include "libs/http/retry_after.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"

namespace insula::http {
namespace {

absl::Duration Wait(const char* value) {
  const absl::Time now = absl::FromUnixSeconds(784111777);
  return ParseRetryAfter({{"Retry-After", value}}, now);
}

TEST(RetryAfterTest, IsANumberOfSecondsOrADate) {
  EXPECT_EQ(Wait("120"), absl::Minutes(2));
  EXPECT_EQ(Wait("Sun, 06 Nov 1994 08:50:07 GMT"), absl::Seconds(30));
}

TEST(RetryAfterTest, WhatIsPastOrNotUnderstoodIsNoWait) {
  EXPECT_EQ(Wait("-5"), absl::ZeroDuration());
  EXPECT_EQ(Wait("Sun, 06 Nov 1994 08:49:07 GMT"), absl::ZeroDuration());
  EXPECT_EQ(Wait("soon"), absl::ZeroDuration());
  EXPECT_EQ(ParseRetryAfter({}, absl::Now()), absl::ZeroDuration());
}

}  // namespace
}  // namespace insula::http
