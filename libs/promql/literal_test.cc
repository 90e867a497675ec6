#include "libs/promql/literal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <string>

#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/promql/quote.h"
#include "libs/status/status_matchers.h"

namespace insula::promql {
namespace {

TEST(LiteralTest, NumbersReadBackAsTheyWereWritten) {
  absl::BitGen random;
  for (int i = 0; i < 20'000; ++i) {
    const double magnitude = absl::Uniform(random, -300.0, 300.0);
    const double value =
        absl::Uniform(random, 0.1, 10.0) * std::pow(10, magnitude);
    const std::string text = NumberText(value);
    const absl::StatusOr<double> read = ParseNumber(text);
    ASSERT_THAT(read, IsOk()) << text;
    EXPECT_EQ(*read, value) << text;
  }
}

// There is a shorter way for these.
TEST(LiteralTest, NumbersOfFewDigitsAreReadAndWrittenAsOthersAre) {
  absl::BitGen random;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = absl::StrCat(
        absl::LogUniform<int64_t>(random, 0, 99'999'999'999'999'999));
    if (absl::Bernoulli(random, 0.9)) {
      text.insert(
          absl::Uniform<size_t>(absl::IntervalClosed, random, 1, text.size()),
          ".");
    }
    const absl::StatusOr<double> read = ParseNumber(text);
    ASSERT_THAT(read, IsOk()) << text;
    EXPECT_EQ(*read, std::strtod(text.c_str(), nullptr)) << text;

    const double value = absl::Uniform(random, -999'999'999, 999'999'999) /
                         std::pow(10, absl::Uniform(random, 3, 6));
    if (std::abs(value) < 1e-4) continue;
    char wanted[64];
    const auto end = std::to_chars(std::begin(wanted), std::end(wanted), value,
                                   std::chars_format::fixed);
    EXPECT_EQ(NumberText(value), std::string(wanted, end.ptr));
  }
}

TEST(LiteralTest, WritesNumbersAsGoDoes) {
  EXPECT_EQ(NumberText(0), "0");
  EXPECT_EQ(NumberText(-0.0), "-0");
  EXPECT_EQ(NumberText(100'000), "100000");
  EXPECT_EQ(NumberText(1'000'000), "1e+06");
  EXPECT_EQ(NumberText(1'136'239'445), "1.136239445e+09");
  EXPECT_EQ(NumberText(0.0001), "0.0001");
  EXPECT_EQ(NumberText(0.00001), "1e-05");
  EXPECT_EQ(NumberText(1e100), "1e+100");
  EXPECT_EQ(NumberText(std::numeric_limits<double>::denorm_min()), "5e-324");
  EXPECT_EQ(NumberText(std::numeric_limits<double>::infinity()), "+Inf");
  EXPECT_EQ(NumberText(-std::numeric_limits<double>::infinity()), "-Inf");
  EXPECT_EQ(NumberText(std::nan("")), "NaN");
}

TEST(LiteralTest, DurationsReadBackAsTheyWereWritten) {
  absl::BitGen random;
  for (int i = 0; i < 20'000; ++i) {
    const absl::Duration duration = absl::Milliseconds(
        absl::LogUniform<int64_t>(random, 1, 9'223'372'036'854));
    const std::string text = DurationText(duration);
    const absl::StatusOr<absl::Duration> read = ParseDuration(text);
    ASSERT_THAT(read, IsOk()) << text;
    EXPECT_EQ(*read, duration) << text;
  }
}

TEST(LiteralTest, RefusesDurationsThatAreEmptyOutOfOrderOrTooLong) {
  for (const char* text :
       {"", "5", "m", "1m1h", "1m1m", "1.5m", "-1m", "1M", "1m 1s", "0s",
        "0y0ms", "293y", "15251w", "9223372036855ms", "99999999999999999999ms",
        "292y9999w", "99999999999999999999s1q"}) {
    EXPECT_THAT(ParseDuration(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
  EXPECT_EQ(*ParseDuration("9223372036854ms"),
            absl::Milliseconds(9'223'372'036'854));
}

TEST(QuoteTest, StringsReadBackAsTheyWereQuoted) {
  absl::BitGen random;
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (int n = absl::Uniform(random, 0, 12); n > 0; --n) {
      text.push_back(static_cast<char>(absl::Uniform(random, 0, 256)));
    }
    EXPECT_EQ(Unquote(Quoted(text)), text) << Quoted(text);
  }
}

TEST(QuoteTest, WritesEveryCharacterSoThatItReadsBack) {
  for (uint32_t c = 0; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 257) {
    if (c >= 0xD800 && c < 0xE000) continue;
    const std::string escaped =
        absl::StrCat("\"\\U", absl::Hex(c, absl::kZeroPad8), "\"");
    const std::string value = Unquote(escaped);
    char32_t decoded = 0;
    EXPECT_EQ(DecodeCharacter(value, &decoded), value.size());
    EXPECT_EQ(decoded, c);
    EXPECT_EQ(Unquote(Quoted(value)), value);
  }
}

TEST(QuoteTest, EscapesWhatCannotBeSeenAndWhatIsNotUtf8) {
  EXPECT_EQ(Quoted("a\"b\\c\n\x01\x7f"), R"("a\"b\\c\n\x01\x7f")");
  EXPECT_EQ(Quoted("\xc3\xa4\xf0\x9f\x98\x80"), "\"\xc3\xa4\xf0\x9f\x98\x80\"");
  EXPECT_EQ(Quoted("\xc2\xa0\xe2\x80\x8b\xf3\xa0\x80\x81"),
            R"("\u00a0\u200b\U000e0001")");
  EXPECT_EQ(Quoted("\xef\xbf\xbd"), R"("\ufffd")");
  EXPECT_EQ(Quoted("\xff\xc3(\xed\xa0\x80\xf4\x90\x80\x80"),
            R"("\xff\xc3(\xed\xa0\x80\xf4\x90\x80\x80")");
}

}  // namespace
}  // namespace insula::promql
