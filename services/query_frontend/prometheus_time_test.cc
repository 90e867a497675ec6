#include "services/query_frontend/prometheus_time.h"

#include <gmock/gmock.h>

#include "libs/status/status_matchers.h"

namespace insula::query_frontend {
namespace {

using ::testing::HasSubstr;

TEST(ParseTimeTest, TakesFloatSecondsRoundedToMilliseconds) {
  EXPECT_EQ(*ParseTime("0"), absl::UnixEpoch());
  EXPECT_EQ(*ParseTime("1760003000.123"), absl::FromUnixMillis(1760003000123));
  EXPECT_EQ(*ParseTime("1.0004"), absl::FromUnixMillis(1000));
  EXPECT_EQ(*ParseTime("-1.5"), absl::FromUnixMillis(-1500));
  EXPECT_EQ(*ParseTime("1.76e9"), absl::FromUnixSeconds(1760000000));
  EXPECT_EQ(*ParseTime(".5"), absl::FromUnixMillis(500));
}

TEST(ParseTimeTest, TakesRfc3339) {
  const absl::Time expected = absl::FromUnixSeconds(1760003000);
  EXPECT_EQ(*ParseTime("2025-10-09T09:43:20Z"), expected);
  EXPECT_EQ(*ParseTime("2025-10-09T11:43:20+02:00"), expected);
  EXPECT_EQ(*ParseTime("2025-10-09T09:43:20.25Z"),
            expected + absl::Milliseconds(250));
}

TEST(ParseTimeTest, TakesTheLeastAndGreatestTimeOfPrometheus) {
  EXPECT_EQ(*ParseTime("-292273086-05-16T16:47:06Z"), absl::InfinitePast());
  EXPECT_EQ(*ParseTime("292277025-08-18T07:12:54.999999999Z"),
            absl::InfiniteFuture());
}

TEST(ParseTimeTest, RefusesAllElseInPrometheusWords) {
  for (const char* text : {"",
                           " ",
                           "now",
                           "1 ",
                           " 1",
                           "1,5",
                           "0x10",
                           "1_000",
                           "NaN",
                           "Inf",
                           "+Inf",
                           "infinity",
                           "1e999",
                           "1e19",
                           "--1",
                           "1e",
                           "2025-10-09",
                           "2025-10-09 09:43:20Z",
                           "2025-10-09T09:43:20",
                           "2025-10-09t09:43:20z",
                           "2025-13-09T09:43:20Z",
                           "2025-10-09T09:43:20.Z",
                           "2025-10-09T09:43:20+0200",
                           "12025-10-09T09:43:20Z",
                           "2025-10-09T09:43:20Z\n"}) {
    EXPECT_THAT(ParseTime(text), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("to a valid timestamp")))
        << text;
  }
}

TEST(ParseDurationTest, TakesSecondsAndUnits) {
  EXPECT_EQ(*ParseDuration("15"), absl::Seconds(15));
  EXPECT_EQ(*ParseDuration("0.5"), absl::Milliseconds(500));
  EXPECT_EQ(*ParseDuration("-1"), absl::Seconds(-1));
  EXPECT_EQ(*ParseDuration("1h30m"), absl::Minutes(90));
  EXPECT_EQ(*ParseDuration("1y2w3d4h5m6s7ms"),
            absl::Hours(24 * (365 + 14 + 3) + 4) + absl::Minutes(5) +
                absl::Seconds(6) + absl::Milliseconds(7));
}

TEST(ParseDurationTest, RefusesAllElseInPrometheusWords) {
  for (const char* text :
       {"", "s", "1x", "1m1h", "1s1s", "1.5h", "-1h", "1h 30m", "1H", "0x10",
        "NaN", "Inf", "1hm", "99999999999999999999s"}) {
    EXPECT_THAT(ParseDuration(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("to a valid duration")))
        << text;
  }
  EXPECT_THAT(ParseDuration("1e10"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("It overflows int64")));
  EXPECT_THAT(ParseDuration("300y"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("It overflows int64")));
}

}  // namespace
}  // namespace insula::query_frontend
