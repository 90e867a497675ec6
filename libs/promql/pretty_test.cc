#include "libs/promql/pretty.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/promql/parser.h"
#include "libs/promql/printer.h"
#include "libs/promql/testdata_cases.h"
#include "libs/promql/tree_json.h"
#include "libs/status/status_matchers.h"

namespace insula::promql {
namespace {

using ::testing::HasSubstr;

std::string Pretty(absl::string_view query) {
  const auto expr = Parse(query);
  if (!expr.ok()) return std::string(expr.status().message());
  const auto text = PrettyPrint(**expr);
  return text.ok() ? *text : std::string(text.status().message());
}

TEST(PrettyTest, LeavesShortTextsOnOneLine) {
  EXPECT_EQ(Pretty("sum(up)by(job)/2"), "sum by (job) (up) / 2");
}

TEST(PrettyTest, DividesLongTexts) {
  EXPECT_EQ(
      Pretty("histogram_quantile(0.9, sum by (le, job) "
             "(rate(http_request_duration_seconds_bucket{job=\"api\"}"
             "[5m]))) > on (job) group_left -(a_rather_long_metric_name)"),
      "  histogram_quantile(\n"
      "    0.9,\n"
      "    sum by (le, job) "
      "(rate(http_request_duration_seconds_bucket{job=\"api\"}[5m]))\n"
      "  )\n"
      "> on (job) group_left ()\n"
      "  -(a_rather_long_metric_name)");
}

TEST(PrettyTest, MeansTheSame) {
  for (const Case& c : ReadCases(TESTDATA_DIR, "prometheus.test")) {
    EXPECT_EQ(absl::StrCat("= ", Print(**Parse(Pretty(c.query)))), c.outcome);
  }
}

TEST(PrettyTest, BoundsTheSpaces) {
  std::string chain = "a";
  for (int i = 0; i < 20'000; ++i) chain += "+a";
  EXPECT_THAT(Pretty(chain), HasSubstr("more than the 1048576 bytes allowed"));
}

std::string Json(absl::string_view query) {
  ParseOptions options;
  options.dialect = NewestDialect();
  const auto expr = Parse(query, options);
  return expr.ok() ? TreeJson(**expr) : std::string(expr.status().message());
}

TEST(TreeJsonTest, ShowsSelectors) {
  EXPECT_EQ(Json("up{job=~\"a\\\"b\"} @ 1.5 offset -5m"),
            R"({"anchored":false,"matchers":[{"name":"job","type":"=~",)"
            R"("value":"a\"b"},{"name":"__name__","type":"=","value":"up"}],)"
            R"("name":"up","offset":-300000,"smoothed":false,)"
            R"("startOrEnd":null,"timestamp":1500,"type":"vectorSelector"})");
  EXPECT_EQ(Json("{a=\"\\xff\\n\"}[5m] smoothed @ end()"),
            R"({"anchored":false,"matchers":[{"name":"a","type":"=",)"
            R"("value":"\ufffd\u000a"}],"name":"","offset":0,)"
            R"("range":300000,"smoothed":true,"startOrEnd":"end",)"
            R"("timestamp":null,"type":"matrixSelector"})");
}

TEST(TreeJsonTest, ShowsOperators) {
  EXPECT_EQ(Json("-(1e21) + bool 1"),
            "1:9: parse error: bool modifier can only be used on comparison "
            "operators");
  EXPECT_EQ(Json("2 ^ -0.5e-7"),
            R"({"bool":false,"lhs":{"type":"numberLiteral","val":"2"},)"
            R"("matching":null,"op":"^","rhs":{"type":"numberLiteral",)"
            R"("val":"-0.00000005"},"type":"binaryExpr"})");
  EXPECT_THAT(Json("a > bool on (x) group_left (y) fill_left (2) b"),
              HasSubstr(R"("matching":{"card":"many-to-one","fillValues":)"
                        R"({"lhs":2,"rhs":null},"include":["y"],)"
                        R"("labels":["x"],"on":true},"op":">")"));
}

TEST(TreeJsonTest, ShowsCallsAndAggregations) {
  EXPECT_EQ(Json("sum without (a) (time())"),
            "1:18: parse error: expected type instant vector in aggregation "
            "expression, got scalar");
  EXPECT_EQ(Json("topk(1, vector(-(1e21)))"),
            R"({"expr":{"args":[{"expr":{"expr":{"type":"numberLiteral",)"
            R"("val":"1000000000000000000000"},"type":"parenExpr"},"op":"-",)"
            R"("type":"unaryExpr"}],"func":{"argTypes":["scalar"],)"
            R"("name":"vector","returnType":"vector","variadic":0},)"
            R"("type":"call"},"grouping":[],"op":"topk","param":)"
            R"({"type":"numberLiteral","val":"1"},"type":"aggregation",)"
            R"("without":false})");
  EXPECT_EQ(Json("(a)[1h:]"),
            R"({"alignEvalTime":false,"expr":{"expr":)" + Json("a") +
                R"(,"type":"parenExpr"},"offset":0,"range":3600000,)"
                R"("startOrEnd":null,"step":0,"timestamp":null,)"
                R"("type":"subquery"})");
}

}  // namespace
}  // namespace insula::promql
