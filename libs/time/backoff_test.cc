#include "libs/time/backoff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace insula {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::Le;

TEST(BackoffTest, DoublesWithJitterUpToTheMaximumAndStartsOver) {
  Backoff backoff({.initial = absl::Seconds(1), .maximum = absl::Seconds(4)});
  for (const int ceiling : {1, 2, 4, 4, 4}) {
    EXPECT_THAT(backoff.Next(), AllOf(Ge(absl::Seconds(ceiling) / 2),
                                      Le(absl::Seconds(ceiling))));
  }
  backoff.Reset();
  EXPECT_THAT(backoff.Next(), Le(absl::Seconds(1)));
}

}  // namespace
}  // namespace insula
