#include "libs/exposition/metric_type.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "libs/status/status_matchers.h"

namespace insula::exposition {
namespace {

using testing::HasSubstr;

TEST(MetricTypeTest, TellsTheFormatByTheContentType) {
  EXPECT_EQ(*FormatOf(""), Format::kPrometheus);
  EXPECT_EQ(*FormatOf("text/plain; version=0.0.4; charset=utf-8"),
            Format::kPrometheus);
  EXPECT_EQ(*FormatOf("Text/Plain"), Format::kPrometheus);
  EXPECT_EQ(*FormatOf("application/openmetrics-text; version=1.0.0"),
            Format::kOpenMetrics);
  EXPECT_EQ(*FormatOf(ContentType(Format::kPrometheus)), Format::kPrometheus);
  EXPECT_EQ(*FormatOf(ContentType(Format::kOpenMetrics)), Format::kOpenMetrics);
  for (const char* type : {"text/html; charset=utf-8", "application/json",
                           "application/vnd.google.protobuf"}) {
    EXPECT_THAT(FormatOf(type), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("does the URL lead")))
        << type;
  }
}

TEST(MetricTypeTest, TypesThatPrometheusLacksBecomeTheNearest) {
  EXPECT_EQ(MetricTypeName(Format::kPrometheus, MetricType::kUnknown),
            "untyped");
  EXPECT_EQ(MetricTypeName(Format::kPrometheus, MetricType::kInfo), "gauge");
  EXPECT_EQ(MetricTypeName(Format::kPrometheus, MetricType::kStateSet),
            "gauge");
  EXPECT_EQ(MetricTypeName(Format::kPrometheus, MetricType::kGaugeHistogram),
            "untyped");
}

}  // namespace
}  // namespace insula::exposition
