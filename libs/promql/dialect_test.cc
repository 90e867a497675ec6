#include "libs/promql/dialect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/promql/clone.h"
#include "libs/promql/confine.h"
#include "libs/promql/confine_union.h"
#include "libs/promql/parser.h"
#include "libs/promql/printer.h"
#include "libs/promql/query_files.h"
#include "libs/promql/testdata_cases.h"
#include "libs/status/status_matchers.h"

namespace insula::promql {
namespace {

using ::testing::HasSubstr;

ParseOptions In(absl::string_view dialect) {
  const absl::StatusOr<Dialect> parsed = ParseDialect(dialect);
  EXPECT_THAT(parsed, IsOk()) << dialect;
  ParseOptions options;
  options.dialect = *parsed;
  return options;
}

std::string Outcome(absl::string_view query, absl::string_view dialect) {
  const absl::StatusOr<ExprPtr> expr = Parse(query, In(dialect));
  if (!expr.ok()) return absl::StrCat("! ", expr.status().message());
  size_t budget = size_t{1} << 20;
  const ExprPtr copy = Clone(**expr, &budget);
  EXPECT_EQ(Print(*copy), Print(**expr));
  return absl::StrCat("= ", Print(**expr));
}

TEST(DialectTest, GivesTheCanonicalFormOrTheErrorOfEachCase) {
  const std::vector<Case> cases = ReadCases(TESTDATA_DIR, "dialect.test");
  EXPECT_GE(cases.size(), 100u);
  for (const Case& c : cases) {
    EXPECT_EQ(Outcome(c.query, c.enforced), c.outcome)
        << "dialect.test:" << c.line << ": " << c.query;
    if (absl::StartsWith(c.outcome, "= ")) {
      EXPECT_EQ(Outcome(c.outcome.substr(2), c.enforced), c.outcome);
    }
  }
}

TEST(DialectTest, ReadsVersions) {
  EXPECT_EQ(ParseDialect("2.42")->version, (Version{2, 42}));
  EXPECT_EQ(ParseDialect("v3.5.0")->version, (Version{3, 5}));
  EXPECT_TRUE(ParseDialect("newest")->fill_modifiers);
  EXPECT_FALSE(ParseDialect("3.13")->HasDurationExpressions());
  EXPECT_TRUE(ParseDialect("3.14")->HasDurationExpressions());
  for (const char* text : {"", "3", "x.y", "1.8", "3.-1", "3.5x"}) {
    EXPECT_THAT(ParseDialect(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("is no version of Prometheus")))
        << text;
  }
}

// What is refused, with the reason; each line that is no comment is one.
std::set<std::string> Refused() {
  std::ifstream file(absl::StrCat(TESTDATA_DIR, "/dialect_refused.txt"));
  EXPECT_TRUE(file.is_open());
  std::set<std::string> refused;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.front() != '#') refused.insert(line);
  }
  return refused;
}

TEST(DialectTest, TheNewestTakesEveryExpressionOfPrometheusOwnTests) {
  const std::set<std::string> refused = Refused();
  int taken = 0;
  for (const auto& file : std::filesystem::directory_iterator(
           absl::StrCat(TESTDATA_DIR, "/../../../tests/testdata/promqltest"))) {
    if (file.path().extension() != ".test") continue;
    std::stringstream text;
    text << std::ifstream(file.path()).rdbuf();
    for (const FileQuery& query : QueriesOfEvaluationTest(text.str())) {
      const std::string outcome = Outcome(query.text, "newest");
      const bool ok = absl::StartsWith(outcome, "= ");
      EXPECT_EQ(ok, refused.count(query.text) == 0)
          << file.path().filename() << ":" << query.line << ": " << query.text
          << "\n"
          << outcome;
      if (!ok) continue;
      ++taken;
      EXPECT_EQ(Outcome(outcome.substr(2), "newest"), outcome) << query.text;
    }
  }
  EXPECT_GE(taken, 2200);
}

TEST(DialectTest, ConfinesEveryForm) {
  const auto confine = [](absl::string_view query) -> std::string {
    const auto text = ConfineQuery(
        query,
        {*labels::Matcher::Create(labels::MatchType::kEqual, "ns", "red")},
        In("newest"));
    return text.ok() ? *text : std::string(text.status().message());
  };
  EXPECT_EQ(confine("{\"a.b\",\"c.d\"=\"e\"}"),
            "{\"c.d\"=\"e\",__name__=\"a.b\",ns=\"red\"}");
  EXPECT_EQ(confine("rate(a[5m + step()] smoothed offset -(1m * 2))"),
            "rate(a{ns=\"red\"}[5m + step()] smoothed offset -(1m * 2))");
  EXPECT_EQ(confine("limitk(scalar(a), b) + fill (0) c"),
            "limitk(scalar(a{ns=\"red\"}), b{ns=\"red\"}) + fill (0) "
            "c{ns=\"red\"}");
}

TEST(DialectTest, RefusesToConfineWhatSelectsBesidesItsSelectors) {
  const std::vector<labels::Matcher> red = {
      *labels::Matcher::Create(labels::MatchType::kEqual, "ns", "red")};
  const std::vector<labels::Matcher> pod = {
      *labels::Matcher::Create(labels::MatchType::kEqual, "pod", "p")};
  for (const char* query : {"sum(\n info(a))", "sum(\n info(a, {b=\"c\"}))"}) {
    EXPECT_THAT(ConfineQuery(query, red, In("newest")),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("2:2: info() selects series")));
    EXPECT_THAT(ConfineQueryToTexts(query, {red, pod}, In("newest")),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("2:2: info() selects series")));
    const auto expr = Parse(query, In("newest"));
    ASSERT_THAT(expr, IsOk());
    EXPECT_THAT(Confine(expr->get(), red),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST(DialectTest, NewFunctionsOfRangesAreUnitedOutside) {
  const std::vector<labels::Matcher> red = {
      *labels::Matcher::Create(labels::MatchType::kEqual, "ns", "red")};
  const std::vector<labels::Matcher> pod = {
      *labels::Matcher::Create(labels::MatchType::kEqual, "pod", "p")};
  const auto texts = ConfineQueryToTexts(
      "first_over_time(a[5m] anchored) + start_timestamp(b)", {red, pod},
      In("newest"));
  ASSERT_THAT(texts, IsOk());
  EXPECT_EQ(
      texts->front(),
      "(first_over_time(a{ns=\"red\"}[5m] anchored) or "
      "first_over_time(a{pod=\"p\"}[5m] anchored)) + "
      "(start_timestamp(b{ns=\"red\"}) or start_timestamp(b{pod=\"p\"}))");
}

TEST(DialectTest, BoundsDurationExpressions) {
  const auto outcome = [](const std::string& query) {
    ParseOptions options = In("newest");
    options.max_tokens = 1'000'000;
    const auto expr = Parse(query, options);
    return expr.ok() ? std::string("ok") : std::string(expr.status().message());
  };
  const auto repeat = [](absl::string_view text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) absl::StrAppend(&all, text);
    return all;
  };
  EXPECT_EQ(outcome("a[" + repeat("1+", 60'000) + "1]"), "ok");
  for (const char* opening : {"(", "-", "1^", "min_of(", "1*(-"}) {
    EXPECT_THAT(outcome("a[" + repeat(opening, 5'000)), HasSubstr("nested"));
  }
}

}  // namespace
}  // namespace insula::promql
