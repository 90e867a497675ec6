#include "libs/limits/deletion_brake.h"

#include <gtest/gtest.h>

namespace insula::limits {
namespace {

TEST(DeletionBrakeTest, AFewMayAlwaysVanish) {
  EXPECT_FALSE(TooManyDeletions(0, 0, 20));
  EXPECT_FALSE(TooManyDeletions(10, 10, 20));
  EXPECT_TRUE(TooManyDeletions(11, 11, 20));
}

TEST(DeletionBrakeTest, ASmallPartMayVanish) {
  EXPECT_FALSE(TooManyDeletions(20, 100, 20));
  EXPECT_TRUE(TooManyDeletions(21, 100, 20));
}

TEST(DeletionBrakeTest, AHundredPercentSwitchesItOffAndZeroAllowsAFewOnly) {
  EXPECT_FALSE(TooManyDeletions(1000, 1000, 100));
  EXPECT_TRUE(TooManyDeletions(11, 1'000'000, 0));
}

}  // namespace
}  // namespace insula::limits
