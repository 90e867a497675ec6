#include "libs/tenancy/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "libs/promql/printer.h"
#include "libs/status/status_matchers.h"

namespace insula::tenancy {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Labels = std::map<std::string, std::string>;

bool Selects(const Clause& clause, const Labels& series) {
  for (const labels::Matcher& matcher : clause) {
    const auto at = series.find(matcher.name());
    if (!matcher.Matches(at == series.end() ? "" : at->second)) return false;
  }
  return true;
}

Labels Named(const std::string& name, Labels labels = {}) {
  labels["__name__"] = name;
  return labels;
}

struct Case {
  std::string text;
  std::string printed;  // By promql::PrintSelector().
  std::vector<Labels> selected;
  std::vector<Labels> others;
};

class AccessSelectorTest : public testing::TestWithParam<Case> {};

TEST_P(AccessSelectorTest, SelectsWhatItSays) {
  const Case& row = GetParam();
  const auto clause = ParseAccessSelector(row.text);
  ASSERT_TRUE(clause.ok()) << clause.status();
  EXPECT_EQ(promql::PrintSelector(*clause), row.printed);
  for (const Labels& series : row.selected) {
    EXPECT_TRUE(Selects(*clause, series)) << testing::PrintToString(series);
  }
  for (const Labels& series : row.others) {
    EXPECT_FALSE(Selects(*clause, series)) << testing::PrintToString(series);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Names, AccessSelectorTest,
    testing::Values(
        Case{"up",
             R"({__name__="up"})",
             {Named("up"), Named("up", {{"job", "a"}})},
             {Named("upper"), Named("Up"), Labels{}}},
        Case{"job:up:sum",
             R"({__name__="job:up:sum"})",
             {Named("job:up:sum")},
             {Named("up")}},
        // Whole names: no search for a part.
        Case{"http_.*",
             R"({__name__=~"http_.*"})",
             {Named("http_requests_total"), Named("http_")},
             {Named("my_http_requests"), Named("http"), Labels{}}},
        Case{"^up$", R"({__name__=~"^up$"})", {Named("up")}, {Named("upp")}},
        Case{"up|down",
             R"({__name__=~"up|down"})",
             {Named("up"), Named("down")},
             {Named("upx"), Named("xdown")}},
        Case{"node_[ab]",
             R"({__name__=~"node_[ab]"})",
             {Named("node_a")},
             {Named("node_c"), Named("node_ab")}},
        Case{".+", R"({__name__=~".+"})", {Named("a")}, {Labels{}}},
        Case{R"(a\.b)",
             R"({__name__=~"a\\.b"})",
             {Named("a.b")},
             {Named("axb")}},
        // A line feed is a character like any other.
        Case{"a.b", R"({__name__=~"a.b"})", {Named("a\nb")}, {Named("ab")}}));

INSTANTIATE_TEST_SUITE_P(
    Braces, AccessSelectorTest,
    testing::Values(
        Case{R"({__name__=~"node_.*"})",
             R"({__name__=~"node_.*"})",
             {Named("node_load1")},
             {Named("my_node_x")}},
        Case{R"(up{job="a,b"})",
             R"({__name__="up",job="a,b"})",
             {Named("up", {{"job", "a,b"}})},
             {Named("up", {{"job", "a"}}), Named("up")}},
        Case{R"({job="a\"}",x!="1"})",
             R"({job="a\"}",x!="1"})",
             {Labels{{"job", "a\"}"}}, Labels{{"job", "a\"}"}, {"x", "2"}}},
             {Labels{{"job", "a\"}"}, {"x", "1"}}, Labels{{"job", "a"}}}},
        Case{R"({job!~"a|b",__name__=~".+"})",
             R"({__name__=~".+",job!~"a|b"})",
             {Named("x"), Named("x", {{"job", "ab"}})},
             {Named("x", {{"job", "a"}}), Labels{{"job", "c"}}}},
        // A missing label is the empty string.
        Case{R"(up{job=""})",
             R"({__name__="up",job=""})",
             {Named("up")},
             {Named("up", {{"job", "a"}})}},
        Case{R"({job="{}=~,"})",
             R"({job="{}=~,"})",
             {Labels{{"job", "{}=~,"}}},
             {Labels{{"job", "{}"}}}},
        Case{"{job='grün'}",
             R"({job="grün"})",
             {Labels{{"job", "grün"}}},
             {Labels{{"job", "grun"}}}},
        Case{"{job=`a\\d`,job=`a\\d`}",
             R"({job="a\\d"})",
             {Labels{{"job", "a\\d"}}},
             {Labels{{"job", "a1"}}}}));

// A parenthesis too many closes none of ours.
TEST(AccessSelectorTest, AnExpressionCannotBreakOut) {
  for (const absl::string_view text :
       {"a)|(.*", "a)|(?:.*", "(", "a|)", "[", "a**", R"({job=~"a)|(.*"})",
        R"({__name__=~"a)|(.*"})", R"(\C)", R"(up{job=~"\\C"})"}) {
    EXPECT_THAT(ParseAccessSelector(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("error parsing regexp")))
        << text;
  }
}

TEST(AccessSelectorTest, RefusesWhatExcludesNoSeries) {
  for (const absl::string_view text :
       {".*", "a?", "a|", "()", "{}", R"({__name__=~".*"})", R"({job!="a"})",
        R"({job=""})", R"({__name__!~"a",job=~"b*"})"}) {
    EXPECT_THAT(ParseAccessSelector(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("whatever they are")))
        << text;
  }
}

TEST(AccessSelectorTest, RefusesWhatIsNoSelector) {
  for (const absl::string_view text :
       {"", " ", "up ", "a-b", "1up", "up or down", "up{", "up}", "}{",
        "{job=a}", R"({job="a"} or {job="b"})", R"({job="a"}[5m])",
        R"(sum(up{job="a"}))", R"(up{job="a"} offset 5m)", "up{job=\"a}",
        R"(up{__name__="down",job="a"}x)", R"({job="a")", "\xff", "a\xff.*"}) {
    EXPECT_THAT(ParseAccessSelector(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(AccessSelectorsTest, NamesTheOneAtFault) {
  registry::v1::Access access;
  access.add_selectors("up");
  access.add_selectors("{job=~\"(\"}");
  EXPECT_THAT(ParseAccessSelectors(access),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("spec.selectors[1]: ")));
  access.mutable_selectors()->RemoveLast();
  access.add_selectors("up{job=\"a\"}");
  const auto clauses = ParseAccessSelectors(access);
  ASSERT_TRUE(clauses.ok()) << clauses.status();
  EXPECT_THAT(*clauses, ElementsAre(testing::SizeIs(1), testing::SizeIs(2)));
}

TEST(AccessSelectorsTest, ExpressionsShareABudget) {
  registry::v1::Access access;
  for (int i = 0; i < 20; ++i) access.add_selectors("\\pL\\pL\\pL.*");
  EXPECT_THAT(ParseAccessSelectors(access),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("spec.selectors[10]: "),
                             HasSubstr("expression too large"))));
  while (access.selectors_size() > 10) {
    access.mutable_selectors()->RemoveLast();
  }
  EXPECT_TRUE(ParseAccessSelectors(access).ok());
}

}  // namespace
}  // namespace insula::tenancy
