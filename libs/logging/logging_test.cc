#include "libs/logging/logging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "libs/logging/line.h"
#include "libs/status/status_matchers.h"

namespace insula::logging {
namespace {

using internal::FormatLine;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

const absl::Time kNow =
    absl::FromCivil(absl::CivilSecond(2026, 11, 21, 10, 0, 0),
                    absl::UTCTimeZone()) +
    absl::Milliseconds(7);

std::string Logfmt(absl::string_view value) {
  const std::string line =
      FormatLine(Format::kLogfmt, kNow, Level::kInfo, "", "m", {{"v", value}});
  return line.substr(line.find("v=", line.find("msg=")) + 2);
}

std::string Json(absl::string_view value) {
  const std::string line =
      FormatLine(Format::kJson, kNow, Level::kInfo, "", "m", {{"v", value}});
  const std::string key = "\"v\":";
  const size_t start = line.find(key) + key.size();
  return line.substr(start, line.size() - start - 1);
}

TEST(LogLineTest, LogfmtHasTimeLevelServiceMessageAndFieldsInOrder) {
  EXPECT_EQ(FormatLine(Format::kLogfmt, kNow, Level::kWarn, "ingest-gateway",
                       "upstream is slow",
                       {{"tenant", "red"}, {"seconds", 1.5}, {"n", 3}}),
            "ts=2026-11-21T10:00:00.007Z level=warn service=ingest-gateway "
            "msg=\"upstream is slow\" tenant=red seconds=1.5 n=3");
}

TEST(LogLineTest, JsonHasTheSameFields) {
  EXPECT_EQ(FormatLine(Format::kJson, kNow, Level::kError, "ingest-gateway",
                       "upstream is slow", {{"ok", false}}),
            "{\"ts\":\"2026-11-21T10:00:00.007Z\",\"level\":\"error\","
            "\"service\":\"ingest-gateway\",\"msg\":\"upstream is slow\","
            "\"ok\":\"false\"}");
}

TEST(LogLineTest, AnEmptyServiceIsLeftOut) {
  EXPECT_EQ(FormatLine(Format::kLogfmt, kNow, Level::kDebug, "", "m", {}),
            "ts=2026-11-21T10:00:00.007Z level=debug msg=m");
}

TEST(LogLineTest, TellsTheTimeWhicheverWayItRuns) {
  for (const int millis :
       {0, 7, 999, 1000, 1999, 61'234, 1, 0, -1, -86'400'000}) {
    const absl::Time now = kNow + absl::Milliseconds(millis);
    EXPECT_EQ(FormatLine(Format::kLogfmt, now, Level::kInfo, "", "m", {}),
              absl::StrCat("ts=",
                           absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", now,
                                            absl::UTCTimeZone()),
                           " level=info msg=m"));
  }
}

TEST(LogLineTest, EscapesWhatStandsAmongPlainText) {
  EXPECT_EQ(Json("a \"b\" c\\d\ne\x7f é \xff z"),
            "\"a \\\"b\\\" c\\\\d\\ne\\\\x7f é \\\\xff z\"");
}

TEST(LogLineTest, LogfmtQuotesWhatWouldBeReadDifferently) {
  EXPECT_EQ(Logfmt("plain/value:1.5"), "plain/value:1.5");
  EXPECT_EQ(Logfmt(""), "\"\"");
  EXPECT_EQ(Logfmt("a b"), "\"a b\"");
  EXPECT_EQ(Logfmt("a=b"), "\"a=b\"");
  EXPECT_EQ(Logfmt("say \"hi\""), "\"say \\\"hi\\\"\"");
  EXPECT_EQ(Logfmt("c:\\"), "\"c:\\\\\"");
}

TEST(LogLineTest, AValueCannotForgeALine) {
  EXPECT_EQ(Logfmt("x\nts=1 level=error\r\n\tz"),
            "\"x\\nts=1 level=error\\r\\n\\tz\"");
  EXPECT_EQ(Json("x\n\"}"), "\"x\\n\\\"}\"");
}

TEST(LogLineTest, ControlCharactersAndInvalidBytesAreHexEscapes) {
  EXPECT_EQ(Logfmt("\x1b[31m"), "\"\\x1b[31m\"");
  EXPECT_EQ(Logfmt(absl::string_view("\0", 1)), "\"\\x00\"");
  EXPECT_EQ(Logfmt("\x7f"), "\"\\x7f\"");
  EXPECT_EQ(Logfmt("\xc2\x9b"), "\"\\xc2\\x9b\"");           // C1
  EXPECT_EQ(Logfmt("\xe2\x80\xa8"), "\"\\xe2\\x80\\xa8\"");  // U+2028
  EXPECT_EQ(Logfmt("\xff"), "\"\\xff\"");
  EXPECT_EQ(Logfmt("\xc3"), "\"\\xc3\"");                    // Cut short.
  EXPECT_EQ(Logfmt("\xc0\xaf"), "\"\\xc0\\xaf\"");           // Overlong.
  EXPECT_EQ(Logfmt("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\"");  // Surrogate.
  EXPECT_EQ(Logfmt("\xf4\x90\x80\x80"), "\"\\xf4\\x90\\x80\\x80\"");
  EXPECT_EQ(Json("\xff\x1b"), "\"\\\\xff\\\\x1b\"");
}

TEST(LogLineTest, ValidUtf8IsKept) {
  EXPECT_EQ(Logfmt("grün€😀"), "\"grün€😀\"");
  EXPECT_EQ(Json("grün€😀"), "\"grün€😀\"");
}

TEST(LogLineTest, ALongValueIsCutWithANote) {
  const std::string value(internal::kMaxValueBytes + 10, 'a');
  EXPECT_EQ(Logfmt(value),
            absl::StrCat("\"", std::string(internal::kMaxValueBytes, 'a'),
                         "... (10 bytes more)\""));
}

TEST(LogFieldTest, ValuesAreWrittenByType) {
  EXPECT_EQ(Field("k", absl::Milliseconds(1500)).value, "1.5s");
  EXPECT_EQ(Field("k", absl::NotFoundError("no tenant")).value,
            "NOT_FOUND: no tenant");
  EXPECT_EQ(Field("k", size_t{18446744073709551615u}).value,
            "18446744073709551615");
  EXPECT_EQ(Field("k", int64_t{-5}).value, "-5");
  EXPECT_EQ(Field("k", true).value, "true");
}

TEST(LoggingTest, ParsesLevelsAndFormats) {
  EXPECT_EQ(*ParseLevel("debug"), Level::kDebug);
  EXPECT_EQ(*ParseLevel("error"), Level::kError);
  EXPECT_EQ(*ParseFormat("json"), Format::kJson);
  EXPECT_THAT(ParseLevel("loud"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "log level 'loud' must be debug, info, warn or error"));
  EXPECT_THAT(ParseFormat("xml"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "log format 'xml' must be logfmt or json"));
}

TEST(LoggingTest, LinesBelowTheLevelAreDropped) {
  Configure("t", Level::kWarn, Format::kLogfmt);
  testing::internal::CaptureStderr();
  Debug("hidden");
  Info("hidden");
  Warn("shown", {{"a", 1}});
  const std::string out = testing::internal::GetCapturedStderr();

  EXPECT_THAT(out, AllOf(StartsWith("ts=20"),
                         EndsWith("Z level=warn service=t msg=shown a=1\n"),
                         Not(HasSubstr("hidden"))));
  EXPECT_FALSE(Enabled(Level::kInfo));
  EXPECT_TRUE(Enabled(Level::kError));
}

TEST(LoggingTest, PercentAndBracesAreNotFormatDirectives) {
  Configure("t", Level::kInfo, Format::kLogfmt);
  testing::internal::CaptureStderr();
  Info("done", {{"query", "{}%v%n"}});
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              EndsWith(" query={}%v%n\n"));
}

TEST(LoggingTest, LinesThatMayComeLaterStayInOrder) {
  Configure("t", Level::kInfo, Format::kLogfmt);
  testing::internal::CaptureStderr();
  LogSoon(Level::kInfo, "one", {{"a", 1}});
  LogSoon(Level::kDebug, "hidden");
  Info("two");
  LogSoon(Level::kInfo, "three");
  Flush();
  const std::string out = testing::internal::GetCapturedStderr();
  std::vector<std::string> lines = absl::StrSplit(out, '\n');
  ASSERT_EQ(lines.size(), 4u) << out;
  EXPECT_THAT(lines[0], EndsWith(" msg=one a=1"));
  EXPECT_THAT(lines[1], EndsWith(" msg=two"));
  EXPECT_THAT(lines[2], EndsWith(" msg=three"));
}

TEST(LoggingTest, LinesOfManyThreadsDoNotMix) {
  Configure("t", Level::kInfo, Format::kLogfmt);
  testing::internal::CaptureStderr();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int n = 0; n < 100; ++n)
        Info("line", {{"x", std::string(300, 'x')}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string out = testing::internal::GetCapturedStderr();

  int lines = 0;
  for (absl::string_view line : absl::StrSplit(out, '\n', absl::SkipEmpty())) {
    ++lines;
    EXPECT_THAT(
        std::string(line),
        AllOf(StartsWith("ts="), EndsWith(" x=" + std::string(300, 'x'))));
  }
  EXPECT_EQ(lines, 400);
}

}  // namespace
}  // namespace insula::logging
