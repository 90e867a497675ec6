#include "libs/exposition/text_printer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "libs/exposition/recorder.h"
#include "libs/exposition/text_parser.h"
#include "libs/status/status_matchers.h"

namespace insula::exposition {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

TEST(TextPrinterTest, WritesThePrometheusFormat) {
  std::string text;
  TextPrinter printer({}, &text);
  const Label labels[] = {{"path", "C:\\dir\n\"x\""}, {"b", ""}};
  const Exemplar exemplar = {.labels = labels, .value = 1, .timestamp_ms = {}};
  EXPECT_THAT(printer.OnHelp("a_total", "One \\ two\n\"three\""), IsOk());
  EXPECT_THAT(printer.OnType("a_total", MetricType::kCounter), IsOk());
  EXPECT_THAT(printer.OnUnit("a_total", "total"), IsOk());
  EXPECT_THAT(printer.OnSample({.name = "a_total",
                                .labels = labels,
                                .value = 1e6,
                                .timestamp_ms = -5,
                                .exemplar = &exemplar}),
              IsOk());
  EXPECT_THAT(
      printer.OnSample(
          {.name = "b", .labels = {}, .value = -0.0, .timestamp_ms = {}}),
      IsOk());
  printer.Finish();
  EXPECT_EQ(text,
            "# HELP a_total One \\\\ two\\n\"three\"\n"
            "# TYPE a_total counter\n"
            "a_total{path=\"C:\\\\dir\\n\\\"x\\\"\",b=\"\"} 1e+06 -5\n"
            "b -0\n");
}

TEST(TextPrinterTest, WritesOpenMetrics) {
  std::string text;
  TextPrinter printer({.format = Format::kOpenMetrics, .utf8_names = true},
                      &text);
  const Label labels[] = {{"a.b", "c"}, {"d", "e"}};
  const Exemplar exemplar = {
      .labels = labels, .value = 0.5, .timestamp_ms = 1520879607789};
  EXPECT_THAT(printer.OnType("x_seconds", MetricType::kUnknown), IsOk());
  EXPECT_THAT(printer.OnUnit("x_seconds", "seconds"), IsOk());
  EXPECT_THAT(printer.OnHelp("x_seconds", "\"\n"), IsOk());
  EXPECT_THAT(printer.OnSample({.name = "x_seconds",
                                .labels = {},
                                .value = 1,
                                .timestamp_ms = 1500,
                                .exemplar = &exemplar}),
              IsOk());
  EXPECT_THAT(printer.OnSample({.name = "x.y",
                                .labels = labels,
                                .value = std::nan(""),
                                .timestamp_ms = {}}),
              IsOk());
  EXPECT_THAT(
      printer.OnSample(
          {.name = "x.y", .labels = {}, .value = 2, .timestamp_ms = {}}),
      IsOk());
  printer.Finish();
  EXPECT_EQ(text,
            "# TYPE x_seconds unknown\n"
            "# UNIT x_seconds seconds\n"
            "# HELP x_seconds \\\"\\n\n"
            "x_seconds 1 1.500 # {\"a.b\"=\"c\",d=\"e\"} 0.5 1520879607.789\n"
            "{\"x.y\",\"a.b\"=\"c\",d=\"e\"} NaN\n"
            "{\"x.y\"} 2\n"
            "# EOF\n");
}

TEST(TextPrinterTest, RefusesWhatNoParserWouldTakeAndWritesNothing) {
  std::string text;
  TextPrinter printer({.format = Format::kOpenMetrics}, &text);
  TextPrinter utf8({.format = Format::kOpenMetrics, .utf8_names = true}, &text);
  const auto print = [](TextPrinter& to, absl::string_view name,
                        std::vector<Label> labels) {
    return to.OnSample(
        {.name = name, .labels = labels, .value = 1, .timestamp_ms = {}});
  };
  EXPECT_THAT(print(printer, "", {}), StatusIs(kInvalid, HasSubstr("empty")));
  EXPECT_THAT(print(printer, "a.b", {}),
              StatusIs(kInvalid, HasSubstr("'a.b' needs quotes")));
  EXPECT_THAT(print(printer, "a", {{"b.c", ""}}), StatusIs(kInvalid));
  EXPECT_THAT(print(printer, "a", {{"b:c", ""}}), StatusIs(kInvalid));
  EXPECT_THAT(print(printer, "a", {{"b", ""}, {"b", ""}}),
              StatusIs(kInvalid, HasSubstr("'b' comes twice")));
  EXPECT_THAT(print(printer, "a", {{"__name__", "b"}}), StatusIs(kInvalid));
  EXPECT_THAT(print(printer, "a", {{"b", "\xff"}}), StatusIs(kInvalid));
  EXPECT_THAT(print(utf8, "\xff", {}), StatusIs(kInvalid));
  EXPECT_THAT(print(utf8, "a", {{"", "b"}}), StatusIs(kInvalid));
  EXPECT_THAT(printer.OnHelp("a", "\xff"), StatusIs(kInvalid));
  EXPECT_THAT(printer.OnType("a b", MetricType::kGauge), StatusIs(kInvalid));
  EXPECT_THAT(printer.OnUnit("aseconds", "seconds"), StatusIs(kInvalid));
  EXPECT_THAT(text, IsEmpty());
}

// Anything that may be printed, printed and read.
TEST(TextPrinterTest, WhatIsPrintedReadsBackAsTheSame) {
  std::mt19937_64 random(1);
  const std::vector<std::string> parts = {
      "a",  "Z9", "_",        ":", ".", " ", "\n", "\"", "\\", "\\n",
      "\t", "{",  "\xc3\xb6", "}", ",", "#", "\r", "=",  "EOF"};
  const auto string = [&](size_t least) {
    std::string text;
    for (size_t n = least + random() % 5; n > 0; --n) {
      text += parts[random() % parts.size()];
    }
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    const Format format =
        random() % 2 == 0 ? Format::kPrometheus : Format::kOpenMetrics;
    Recorder expected;
    std::string text;
    TextPrinter printer({.format = format, .utf8_names = true}, &text);
    for (int i = 0; i < 5; ++i) {
      const std::string name = string(1);
      const std::string value = string(0);
      if (random() % 3 == 0) {
        ASSERT_THAT(printer.OnHelp(name, value), IsOk());
        ASSERT_THAT(expected.OnHelp(name, value), IsOk());
        continue;
      }
      const std::vector<Label> labels = {{"l", value}, {name, name}};
      Sample sample;
      sample.name = name;
      if (name != "l") sample.labels = labels;
      const uint64_t bits = random();
      std::memcpy(&sample.value, &bits, sizeof(bits));
      if (std::isnan(sample.value)) sample.value = 1;
      if (random() % 2 == 0) {
        sample.timestamp_ms = static_cast<int64_t>(random());
      }
      Exemplar exemplar = {
          .labels = sample.labels, .value = 5, .timestamp_ms = 77};
      if (format == Format::kOpenMetrics && random() % 2 == 0) {
        sample.exemplar = &exemplar;
      }
      ASSERT_THAT(printer.OnSample(sample), IsOk());
      ASSERT_THAT(expected.OnSample(sample), IsOk());
    }
    printer.Finish();
    Recorder read;
    TextParser parser({.format = format, .utf8_names = true}, &read);
    ASSERT_THAT(parser.Feed(text), IsOk()) << text;
    ASSERT_THAT(parser.Finish(), IsOk()) << text;
    ASSERT_EQ(read.calls(), expected.calls()) << text;
  }
}

}  // namespace
}  // namespace insula::exposition
