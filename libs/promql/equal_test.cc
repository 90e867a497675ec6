#include "libs/promql/equal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "libs/promql/dialect.h"
#include "libs/promql/parser.h"
#include "libs/promql/printer.h"
#include "libs/promql/testdata_cases.h"
#include "libs/status/status_matchers.h"

namespace insula::promql {
namespace {

ExprPtr Read(const std::string& text) {
  ParseOptions options;
  options.dialect = NewestDialect();
  auto expr = Parse(text, options);
  EXPECT_THAT(expr, IsOk()) << text;
  return expr.ok() ? *std::move(expr) : nullptr;
}

std::vector<std::string> Texts(const char* name) {
  std::vector<std::string> texts;
  for (const Case& c : ReadCases(TESTDATA_DIR, name)) {
    if (!Parse(c.query, {.dialect = NewestDialect()}).ok()) continue;
    texts.push_back(c.query);
  }
  return texts;
}

TEST(AreEqualTest, EveryExpressionEqualsWhatItsTextReadsAs) {
  for (const char* name : {"parse.test", "prometheus.test", "dialect.test"}) {
    for (const std::string& text : Texts(name)) {
      const ExprPtr expr = Read(text);
      EXPECT_TRUE(AreEqual(*expr, *Read(Print(*expr)))) << text;
    }
  }
}

TEST(AreEqualTest, WhatPrintsDifferentlyIsNotEqual) {
  std::map<std::string, ExprPtr> by_print;
  for (const char* name : {"parse.test", "dialect.test"}) {
    for (const std::string& text : Texts(name)) {
      ExprPtr expr = Read(text);
      std::string print = Print(*expr);
      by_print.emplace(std::move(print), std::move(expr));
    }
  }
  ASSERT_GT(by_print.size(), 200);
  for (const auto& [a_text, a] : by_print) {
    for (const auto& [b_text, b] : by_print) {
      EXPECT_EQ(AreEqual(*a, *b), a_text == b_text) << a_text << "\n" << b_text;
    }
  }
}

TEST(AreEqualTest, EveryDifferenceCounts) {
  for (const auto& [a, b] : std::vector<std::pair<std::string, std::string>>{
           {"a + b", "a - b"},
           {"a < b", "a < bool b"},
           {"a + on (x) b", "a + ignoring (x) b"},
           {"a + on (x) b", "a + on (y) b"},
           {"a + on (x) group_left b", "a + on (x) group_right b"},
           {"a + on (x) group_left (y) b", "a + on (x) group_left (z) b"},
           {"a + fill (1) b", "a + fill (2) b"},
           {"a + fill_left (1) b", "a + fill_right (1) b"},
           {"a + fill (1) b", "a + b"},
           {"sum (a)", "max (a)"},
           {"sum by (x) (a)", "sum without (x) (a)"},
           {"sum by (x) (a)", "sum by (y) (a)"},
           {"topk (1, a)", "topk (2, a)"},
           {"rate(a[5m])", "irate(a[5m])"},
           {"round(a)", "round(a, 2)"},
           {"a[5m]", "a[6m]"},
           {"a[5m:1m]", "a[6m:1m]"},
           {"a[5m:1m]", "a[5m:2m]"},
           {"a[5m + step()]", "a[6m + step()]"},
           {"a[5m:1m + step()]", "a[5m:2m + step()]"},
           {"a[5m + step():1m]", "a[6m + step():1m]"},
           {"(a)", "a"},
           {"-a", "+a"},
           {"1", "2"},
           {"0", "-0"},
           {"300", "5m"},
           {"\"a\"", "\"b\""},
           {"a", "b"},
           {"a", "{__name__=\"a\"}"},
           {"a{x=\"1\"}", "a{x!=\"1\"}"},
           {"a{x=\"1\"}", "a{x=\"2\"}"},
           {"a{x=\"1\"}", "a{y=\"1\"}"},
           {"a{x=\"1\"}", "a{x=\"1\",y=\"1\"}"},
           {"a{x=\"1\",x=\"1\",y=\"1\"}", "a{x=\"1\",y=\"1\",y=\"1\"}"},
           {"a @ 1", "a @ 2"},
           {"a @ start()", "a @ end()"},
           {"a[5m:] @ 1", "a[5m:] @ 2"},
           {"a offset 1m", "a offset -1m"},
           {"a offset (1m + step())", "a offset (2m + step())"},
           {"a smoothed", "a"},
           {"a[5m] anchored", "a[5m] smoothed"}}) {
    EXPECT_FALSE(AreEqual(*Read(a), *Read(b))) << a << "\n" << b;
    EXPECT_FALSE(AreEqual(*Read(b), *Read(a))) << a << "\n" << b;
  }
}

TEST(AreEqualTest, TheOrderOfMatchersDoesNotCount) {
  EXPECT_TRUE(
      AreEqual(*Read("a{x=\"1\",y=~\"2\"}"), *Read("a{y=~\"2\",x=\"1\"}")));
}

}  // namespace
}  // namespace insula::promql
