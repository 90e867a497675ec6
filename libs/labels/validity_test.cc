#include "libs/labels/validity.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/string_view.h"

namespace insula::labels {
namespace {

TEST(ValidityTest, MetricNamesMayHoldColonsAndLabelNamesMayNot) {
  for (const char* name : {"a", "_", "up", "job:rate:5m", "__name__", "A9_"}) {
    EXPECT_TRUE(IsLegacyMetricName(name)) << name;
  }
  EXPECT_TRUE(IsLegacyMetricName(":"));
  EXPECT_TRUE(IsLegacyLabelName("__name__"));
  EXPECT_TRUE(IsLegacyLabelName("le9"));
  EXPECT_FALSE(IsLegacyLabelName("a:b"));
}

TEST(ValidityTest, RefusesNamesThatAreEmptyStartWithADigitOrHoldOtherBytes) {
  for (const absl::string_view name :
       {absl::string_view(""), absl::string_view("9a"),
        absl::string_view("a-b"), absl::string_view("a.b"),
        absl::string_view("a b"), absl::string_view("\xc3\xa4"),
        absl::string_view("a\0b", 3)}) {
    EXPECT_FALSE(IsLegacyMetricName(name)) << name;
    EXPECT_FALSE(IsLegacyLabelName(name)) << name;
  }
}

TEST(ValidityTest, AcceptsEveryLengthOfWellFormedUtf8AtEveryOffset) {
  for (const char* sequence : {"a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80",
                               "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
                               "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    for (size_t before = 0; before < 20; ++before) {
      EXPECT_TRUE(IsValidUtf8(std::string(before, 'x') + sequence + "tail"))
          << before;
    }
  }
  EXPECT_TRUE(IsValidUtf8(""));
  EXPECT_TRUE(IsValidUtf8(absl::string_view("\0", 1)));
}

TEST(ValidityTest, RefusesOverlongSurrogateTooHighAndTruncatedSequences) {
  for (const char* sequence :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41",
        "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xe1\x80",
        "\xe1\x80\x41", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xf1\x80\x80", "\xff"}) {
    for (size_t before = 0; before < 20; ++before) {
      EXPECT_FALSE(IsValidUtf8(std::string(before, 'x') + sequence)) << before;
    }
  }
}

}  // namespace
}  // namespace insula::labels
