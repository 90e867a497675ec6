#include "libs/exposition/number.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"

namespace insula::exposition {
namespace {

using testing::HasSubstr;

constexpr int64_t kMaxInt = std::numeric_limits<int64_t>::max();
constexpr int64_t kMinInt = std::numeric_limits<int64_t>::min();

uint64_t Bits(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

double FromBits(uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

std::string Text(double value) {
  std::string text;
  AppendValue(value, &text);
  return text;
}

std::string SecondsText(int64_t milliseconds) {
  std::string text;
  AppendSeconds(milliseconds, &text);
  return text;
}

TEST(NumberTest, ReadsValuesAsGoDoes) {
  const double inf = std::numeric_limits<double>::infinity();
  const struct {
    const char* text;
    double value;
  } table[] = {
      {"0", 0.0},
      {"-0", -0.0},
      {"+0", 0.0},
      {"-0.0e5", -0.0},
      {"00012", 12},
      {"1.", 1},
      {".5", .5},
      {"-.5", -.5},
      {"+1", 1},
      {"1e3", 1000},
      {"1E+3", 1000},
      {"1.5e-3", 0.0015},
      {"0.1", 0.1},
      {"9007199254740993", 9007199254740992.0},
      {"9007199254740993.00000000000000000000000000001", 9007199254740994.0},
      {"123456789012345678901234567890", 123456789012345678901234567890.0},
      {"0.000000000000000000000000000000000000000000000001", 1e-48},
      {"1.7976931348623157e308", 1.7976931348623157e308},
      {"1.7976931348623158e308", 1.7976931348623157e308},
      {"2.2250738585072014e-308", 2.2250738585072014e-308},
      {"4.9e-324", 5e-324},
      {"3e-324", 5e-324},
      {"2e-324", 0},
      {"-1e-400", -0.0},
      {"1e-99999999999999999999", 0},
      {"0e99999999999999999999", 0},
      {"0.00000000000000000001e320", 1e300},
      {"100000000000000000000e-320", 1e-300},
      {"Inf", inf},
      {"+inf", inf},
      {"-INF", -inf},
      {"infinity", inf},
      {"-Infinity", -inf},
      {"nan", NormalNaN()},
      {"NaN", NormalNaN()},
  };
  for (const auto& row : table) {
    const auto value = ParseValue(row.text);
    ASSERT_THAT(value, IsOk()) << row.text;
    EXPECT_EQ(Bits(*value), Bits(row.value)) << row.text;
  }
  EXPECT_EQ(Bits(NormalNaN()), 0x7ff8000000000001u);
}

TEST(NumberTest, RefusesWhatGoRefuses) {
  for (const char* text :
       {"",     "+",        "-",     ".",         "e5",     "1e",   "1e+",
        "1_0",  "0x10",     "0x1p3", "1p3",       "--1",    "+-1",  "1 ",
        " 1",   "1..2",     "1.2.3", "1e1.5",     "0b1",    "1f",   "+nan",
        "-NaN", "in",       "infi",  "infinityx", "nan(1)", "1e5x", "true",
        "1,5",  "\xd9\xa1", "1\r",   "1e--5",     "-+inf",  "inf1"}) {
    EXPECT_THAT(ParseValue(text), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("is not a number")))
        << text;
  }
  for (const char* text : {"1e309", "-1e309", "1.7976931348623159e308",
                           "1e99999999999999999999"}) {
    EXPECT_THAT(ParseValue(text), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("too large")))
        << text;
  }
}

TEST(NumberTest, MessagesAreShortWhateverIsWritten) {
  const absl::Status status = ParseValue(std::string(100'000, '\xff')).status();
  EXPECT_LT(status.message().size(), 300u);
}

// The C library, in the C locale, is the judge of the nearest double.
TEST(NumberTest, ReadsTheNearestDouble) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 200'000; ++i) {
    std::string text;
    for (uint64_t n = random() % 25; n > 0; --n) {
      absl::StrAppend(&text, random() % 10);
    }
    absl::StrAppend(&text, random() % 10, random() % 2 == 0 ? "." : "");
    for (uint64_t n = random() % 25; n > 0; --n) {
      if (text.find('.') == std::string::npos) break;
      absl::StrAppend(&text, random() % 10);
    }
    if (random() % 2 == 0) {
      const int span = random() % 3 == 0 ? 350 : 25;
      absl::StrAppend(&text, "e",
                      static_cast<int>(random() % (2 * span)) - span);
    }
    const double expected = std::strtod(text.c_str(), nullptr);
    const auto value = ParseValue(text);
    if (std::isinf(expected)) {
      ASSERT_FALSE(value.ok()) << text;
    } else {
      ASSERT_THAT(value, IsOk()) << text;
      ASSERT_EQ(Bits(*value), Bits(expected)) << text;
    }
  }
}

TEST(NumberTest, WhatIsWrittenReadsBackToTheBit) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 200'000; ++i) {
    const double value = FromBits(random());
    if (std::isnan(value)) continue;
    const auto read = ParseValue(Text(value));
    ASSERT_THAT(read, IsOk()) << Text(value);
    ASSERT_EQ(Bits(*read), Bits(value)) << Text(value);
  }
}

TEST(NumberTest, WritesValuesAsGoDoes) {
  EXPECT_EQ(Text(0), "0");
  EXPECT_EQ(Text(-0.0), "-0");
  EXPECT_EQ(Text(100'000), "100000");
  EXPECT_EQ(Text(1'000'000), "1e+06");
  EXPECT_EQ(Text(123456789), "1.23456789e+08");
  EXPECT_EQ(Text(0.0001), "0.0001");
  EXPECT_EQ(Text(0.00001), "1e-05");
  EXPECT_EQ(Text(5e-324), "5e-324");
  EXPECT_EQ(Text(1.7976931348623157e308), "1.7976931348623157e+308");
  EXPECT_EQ(Text(std::numeric_limits<double>::infinity()), "+Inf");
  EXPECT_EQ(Text(-std::numeric_limits<double>::infinity()), "-Inf");
  EXPECT_EQ(Text(FromBits(0x7ff0000000000002)), "NaN");  // A staleness marker.
}

TEST(NumberTest, ReadsMilliseconds) {
  EXPECT_EQ(*ParseMilliseconds("1520879607789"), 1520879607789);
  EXPECT_EQ(*ParseMilliseconds("-5"), -5);
  EXPECT_EQ(*ParseMilliseconds("+5"), 5);
  EXPECT_EQ(*ParseMilliseconds("9223372036854775807"), kMaxInt);
  EXPECT_EQ(*ParseMilliseconds("-9223372036854775808"), kMinInt);
  for (const char* text : {"9223372036854775808", "-9223372036854775809",
                           "99999999999999999999999"}) {
    EXPECT_THAT(
        ParseMilliseconds(text),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("64 bits")))
        << text;
  }
  for (const char* text :
       {"", "-", "+", "+-5", "--5", "1.5", "1e3", "0x1", "1_0", "5 ", "NaN"}) {
    EXPECT_THAT(
        ParseMilliseconds(text),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("whole number")))
        << text;
  }
}

TEST(NumberTest, ReadsSecondsExactly) {
  const struct {
    const char* text;
    int64_t milliseconds;
  } table[] = {
      {"0", 0},
      {"1520879607.789", 1520879607789},
      {"1.520879607789e+09", 1520879607789},
      {"1520879607789e-3", 1520879607789},
      {"1.001", 1001},  // In doubles 1.001 * 1000 is less.
      {"1.0019999999999999999999", 1001},
      {"-1.0019", -1001},
      {".0009", 0},
      {"-0.001", -1},
      {"12", 12000},
      {"+12.", 12000},
      {"0.000000001e9", 1000},
      {"9223372036854775.807", kMaxInt},
      {"-9223372036854775.808", kMinInt},
      {"0e999999999", 0},
      {"1e-999999999", 0},
  };
  for (const auto& row : table) {
    const auto value = ParseSeconds(row.text);
    ASSERT_THAT(value, IsOk()) << row.text;
    EXPECT_EQ(*value, row.milliseconds) << row.text;
  }
  for (const char* text : {"9223372036854775.808", "-9223372036854775.809",
                           "1e30", "1e999999999", "99999999999999999999"}) {
    EXPECT_THAT(ParseSeconds(text), StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr("64 bits")))
        << text;
  }
  for (const char* text :
       {"", "NaN", "Inf", "-Inf", "1z", "#", "1_0", "0x1p3", "1e", "."}) {
    EXPECT_THAT(ParseSeconds(text), StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr("decimal number")))
        << text;
  }
}

TEST(NumberTest, SecondsThatAreWrittenReadBack) {
  EXPECT_EQ(SecondsText(1520879607789), "1520879607.789");
  EXPECT_EQ(SecondsText(-5), "-0.005");
  EXPECT_EQ(SecondsText(12000), "12");
  EXPECT_EQ(SecondsText(1010), "1.010");
  std::mt19937_64 random(3);
  for (int i = 0; i < 100'000; ++i) {
    const int64_t value = static_cast<int64_t>(random()) >> (random() % 64);
    EXPECT_EQ(*ParseSeconds(SecondsText(value)), value);
  }
  EXPECT_EQ(*ParseSeconds(SecondsText(kMinInt)), kMinInt);
}

}  // namespace
}  // namespace insula::exposition
