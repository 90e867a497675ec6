#include "libs/promql/confine_union.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "libs/labels/matcher.h"
#include "libs/promql/ast.h"
#include "libs/promql/confine.h"
#include "libs/promql/functions.h"
#include "libs/promql/parser.h"
#include "libs/promql/testdata_cases.h"
#include "libs/promql/union_check.h"
#include "libs/status/status_matchers.h"

namespace insula::promql {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr auto kInternal = absl::StatusCode::kInternal;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// `{a="b"} or {c="d"}`; `none`.
Clauses Grants(absl::string_view text) {
  Clauses clauses;
  if (text == "none") return clauses;
  for (const absl::string_view selector : absl::StrSplit(text, " or ")) {
    absl::StatusOr<Clause> clause = ParseMetricSelector(selector);
    EXPECT_THAT(clause, IsOk()) << selector;
    clauses.push_back(*clause);
  }
  return clauses;
}

std::string Outcome(absl::string_view query, const Clauses& clauses) {
  const auto texts = ConfineQueryToTexts(query, clauses);
  if (!texts.ok()) return absl::StrCat("! ", texts.status().message());
  return absl::StrCat("= ", absl::StrJoin(*texts, " ; "));
}

ExprPtr MustParse(absl::string_view query) {
  absl::StatusOr<ExprPtr> expr = Parse(query);
  EXPECT_THAT(expr, IsOk()) << query;
  return *std::move(expr);
}

TEST(ConfineUnionTest, GivesTheTextsOrTheErrorOfEachCase) {
  const std::vector<Case> cases = ReadCases(TESTDATA_DIR, "union.test");
  EXPECT_GE(cases.size(), 90u);
  for (const Case& c : cases) {
    EXPECT_EQ(Outcome(c.query, Grants(c.enforced)), c.outcome)
        << "union.test:" << c.line << ": " << c.query;
  }
}

TEST(ConfineUnionTest, OneClauseIsWhatConfineQueryMakes) {
  for (const Case& c : ReadCases(TESTDATA_DIR, "confine.test")) {
    const absl::StatusOr<Clause> clause = ParseMetricSelector(c.enforced);
    ASSERT_THAT(clause, IsOk());
    const auto meant = ConfineQuery(c.query, *clause);
    const auto found = ConfineQueryToUnion(c.query, {*clause});
    ASSERT_EQ(meant.ok(), found.ok()) << c.query << found.status();
    if (meant.ok()) {
      EXPECT_EQ(*meant, *found);
    }
  }
}

TEST(ConfineUnionTest, AbsentKeepsTheLabelsOfTheClauseWhereThatIsWanted) {
  const Clauses red = Grants("{namespace=\"red\",code!=\"5\"}");
  for (const Clauses& clauses : {red, Grants("{namespace=\"red\"}")}) {
    const auto texts =
        ConfineQueryToTexts("absent(up)", clauses, {}, AbsentLabels::kOfPolicy);
    ASSERT_THAT(texts, IsOk());
    EXPECT_EQ(texts->front().find("label_replace"), std::string::npos);
    EXPECT_THAT(ConfineQueryToTexts("absent(up)", clauses)->front(),
                HasSubstr("\"namespace\", \"\", \"\", \"\")"));
  }
}

TEST(ConfineUnionTest, OneClauseHasItsOwnLimitOfSelectors) {
  const Clauses red = Grants("{namespace=\"red\"}");
  std::string query = "absent(up)";
  for (int i = 0; i < 4'095; ++i) absl::StrAppend(&query, "+a");
  EXPECT_THAT(ConfineQueryToTexts(query, red), IsOk());
  EXPECT_THAT(ConfineQueryToTexts(absl::StrCat(query, "+a"), red),
              StatusIs(kInvalid, HasSubstr("4097 selectors")));
}

TEST(ConfineUnionTest, KnowsEveryFunctionOfARange) {
  const Clauses clauses = Grants("{a=\"1\"} or {b=\"2\"}");
  int ranges = 0;
  for (const Function& function : Functions()) {
    std::vector<std::string> args;
    bool range = false;
    for (const ValueType type : function.arg_types()) {
      range = range || type == ValueType::kMatrix;
      args.push_back(type == ValueType::kMatrix   ? "x[5m]"
                     : type == ValueType::kScalar ? "1"
                                                  : "x");
    }
    if (!range) continue;
    ++ranges;
    const std::string query =
        absl::StrCat(function.name, "(", absl::StrJoin(args, ", "), ")");
    // Some are gone from newer versions.
    const Dialect dialect =
        IsKnown(function, Dialect()) ? Dialect() : NewestDialect();
    EXPECT_THAT(ConfineQueryToUnion(query, clauses, {.dialect = dialect}),
                IsOk())
        << query;
  }
  EXPECT_EQ(ranges, 28);
}

TEST(ConfineUnionTest, RefusesClausesThatGrantTooMuch) {
  Clauses unwritable = Grants("{a=\"1\"}");
  unwritable.push_back({*labels::Matcher::Create(labels::MatchType::kEqual,
                                                 "a.b\"} or up{x", "red")});
  EXPECT_THAT(ConfineQueryToUnion("up", unwritable), StatusIs(kInvalid));
  EXPECT_THAT(ConfineQueryToUnion("up", {Clause(), Clause()}),
              StatusIs(kInvalid));
  EXPECT_THAT(ConfineQueryToUnion("up", {Clause()}), StatusIs(kInvalid));
}

TEST(ConfineUnionTest, LimitsSelectorsBeforeAndAfter) {
  const Clauses clauses = Grants("{a=\"1\"} or {b=\"2\"}");
  std::string query = "x";
  for (int i = 1; i < 128; ++i) absl::StrAppend(&query, " + x");
  EXPECT_THAT(ConfineQueryToUnion(query, clauses), IsOk());
  EXPECT_THAT(
      ConfineQueryToUnion(absl::StrCat(query, " + x"), clauses),
      StatusIs(kInvalid, HasSubstr("258 selectors, more than the 256")));
  query = "x{a=\"1\"}";
  for (int i = 1; i < 256; ++i) absl::StrAppend(&query, " + x{a=\"1\"}");
  EXPECT_THAT(ConfineQueryToUnion(query, clauses), IsOk());
  EXPECT_THAT(ConfineQueryToUnion(absl::StrCat(query, " + x"), clauses),
              StatusIs(kInvalid, HasSubstr("the query has 257 selectors")));
}

TEST(ConfineUnionTest, LimitsArms) {
  Clauses clauses;
  for (int i = 0; i < 17; ++i) {
    clauses.push_back({*labels::Matcher::Create(labels::MatchType::kEqual,
                                                absl::StrCat("l", i), "1")});
  }
  EXPECT_THAT(
      ConfineQueryToUnion("up", clauses),
      StatusIs(kInvalid, HasSubstr("1:1: the selector {__name__=\"up\"} is a "
                                   "union of 17 grants, more than the 16")));
  clauses.pop_back();
  EXPECT_THAT(ConfineQueryToUnion("up", clauses), IsOk());
}

TEST(ConfineUnionTest, LimitsWhatCopiesOfCopiesTake) {
  Clauses clauses;
  for (int i = 0; i < 16; ++i) {
    clauses.push_back({*labels::Matcher::Create(labels::MatchType::kEqual,
                                                absl::StrCat("l", i), "1")});
  }
  std::string query = "1";
  for (int i = 0; i < 100; ++i) {
    query = absl::StrCat("scalar(quantile_over_time(", query, ", x[5m]))");
  }
  EXPECT_THAT(ConfineQueryToUnion(query, clauses),
              StatusIs(kInvalid, HasSubstr("use fewer or shorter selectors")));
  query = absl::StrCat("x{y=\"", std::string(100'000, 'y'), "\"}");
  EXPECT_THAT(ConfineQueryToUnion(query, clauses),
              StatusIs(kInvalid, HasSubstr("more than the 1048576")));
}

TEST(ConfineUnionTest, LimitsNesting) {
  const Clauses clauses = Grants("{a=\"1\"} or {b=\"2\"}");
  std::string labels;
  for (int i = 0; i < 1200; ++i) absl::StrAppend(&labels, "l", i, "=\"v\",");
  EXPECT_THAT(
      ConfineQueryToUnion(absl::StrCat("absent(x{", labels, "})"), clauses),
      StatusIs(kInvalid, HasSubstr("levels, more than the 1000")));
  std::string deep = "x";
  for (int i = 0; i < 250; ++i) deep = absl::StrCat("-(", deep, ")");
  EXPECT_THAT(ConfineQueryToUnion(deep, clauses, {.max_depth = 600}), IsOk());
  std::string chain = "x{a=\"1\"}";
  for (int i = 0; i < 10'000; ++i) chain += "+1";
  EXPECT_THAT(ConfineQueryToUnion(chain, clauses), IsOk());
}

TEST(ConfineUnionTest, LimitsTheWorkThatAPolicyMakes) {
  Clauses clauses;
  for (int i = 0; i < 3000; ++i) {
    clauses.push_back({*labels::Matcher::Create(labels::MatchType::kRegex,
                                                absl::StrCat("l", i), "a.*")});
  }
  EXPECT_THAT(ConfineQueryToUnion("up{l7=\"a\"}", clauses), IsOk());
  EXPECT_THAT(
      ConfineQueryToUnion(
          absl::StrCat("up{l7=\"a", std::string(200'000, 'a'), "\"}"), clauses),
      StatusIs(kInvalid, HasSubstr("allowed for a policy of 3000 matchers")));
}

TEST(ConfineUnionTest, CheckFindsASelectorThatHoldsNoClause) {
  const Clauses clauses =
      Grants("{ns=\"red\"} or {ns=\"blue\",pod=~\"a.*\"} or {team=~\"x|y\"}");
  for (const char* query :
       {"x{ns=\"red\"}", "x{ns=\"blue\",pod=~\"a.*\"}", "x{team=~\"x|y\"}",
        "x{ns=\"blue\",pod=\"a1\"}", "x{team=\"y\"}", "x{ns=\"a\",ns=\"b\"}",
        "{__name__=\"__denied__\",__name__!=\"__denied__\"}", "1"}) {
    EXPECT_THAT(CheckConfinedToUnion(*MustParse(query), clauses), IsOk())
        << query;
  }
  for (const char* query :
       {"x", "x{ns=\"blue\"}", "x{ns=~\"red.?\"}", "x{team=~\"x|y|z\"}",
        "x{ns!=\"red\"}", "x{ns=\"blue\",pod=\"b\"}", "x{team=~\"x.*\"}",
        "{__name__=\"__denied__\"}", "x{ns=~\"red|blue\"}",
        "(x{ns=\"red\"} or x)", "sum(rate(x[5m]))",
        "topk(scalar(k), x{ns=\"red\"})"}) {
    EXPECT_THAT(CheckConfinedToUnion(*MustParse(query), clauses),
                StatusIs(kInternal, HasSubstr("holds none of the 3 clauses")))
        << query;
  }
  EXPECT_THAT(CheckConfinedToUnion(*MustParse("x"), {}), StatusIs(kInternal));
}

TEST(ConfineUnionTest, CheckProvesByCases) {
  EXPECT_TRUE(IsCovered(Grants("{a=~\"x|y|(?:z.*)\"}")[0],
                        Grants("{a=\"x\"} or {a=~\"y\"} or {a=~\"z.*\"}")));
  EXPECT_TRUE(IsCovered(Grants("{a=~\"x|y\"}")[0],
                        Grants("{a=~\"y|x\"} or {a=\"x\",b=\"1\"}")));
  EXPECT_FALSE(IsCovered(Grants("{a=~\"x|y|(?:z.*)\"}")[0],
                         Grants("{a=\"x\"} or {a=~\"y\"}")));
  EXPECT_FALSE(IsCovered(Grants("{a=~\"x|y\"}")[0],
                         Grants("{a=\"x\"} or {a=\"y\",b=\"1\"}")));
  EXPECT_TRUE(IsCovered(Grants("{n=\"1\"}")[0],
                        Grants("{n=\"1\",c!=\"4\"} or {n=\"1\",c!=\"5\"}")));
  EXPECT_FALSE(IsCovered(Grants("{n=\"1\"}")[0],
                         Grants("{n=\"1\",c!=\"4\"} or {n=\"1\",d!=\"5\"}")));
  // A value that another engine may see otherwise proves nothing.
  EXPECT_FALSE(IsCovered(Grants("{a=\"\xc3\xb6\"}")[0], Grants("{a=~\".\"}")));
}

TEST(ConfineUnionTest, SaysWhichSelectorsMustBeOfUnlikeSeries) {
  const Clauses clauses =
      Grants("{__name__=~\"a.*\"} or {__name__=~\".*b\",c=\"1\"}");
  const auto confine = [&clauses](absl::string_view query, Clauses* unlike) {
    return ConfineParsedToTexts(query, MustParse(query), clauses, {},
                                AbsentLabels::kOfQuery, unlike);
  };
  Clauses unlike;
  const auto texts = confine(
      "rate({d=\"2\"}[5m]) + timestamp({d=\"2\"}) / rate(ab[5m])", &unlike);
  ASSERT_THAT(texts, IsOk());
  EXPECT_EQ(texts->front(),
            "(rate({__name__=~\"a.*\",d=\"2\"}[5m]) or "
            "rate({__name__=~\".*b\",c=\"1\",d=\"2\"}[5m])) + "
            "(timestamp({__name__=~\"a.*\",d=\"2\"}) or "
            "timestamp({__name__=~\".*b\",c=\"1\",d=\"2\"})) / "
            "rate(ab[5m])");
  EXPECT_EQ(unlike, Grants("{d=\"2\"}"));
  // Where the name can be kept, nothing is to be known.
  for (const char* query : {"{d=\"2\"}", "last_over_time({d=\"2\"}[5m])",
                            "absent({d=\"2\"})", "{d=\"2\"}[5m]"}) {
    unlike.clear();
    EXPECT_THAT(confine(query, &unlike), IsOk()) << query;
    EXPECT_THAT(unlike, SizeIs(0)) << query;
  }
  EXPECT_THAT(confine("rate({d=\"2\"}[5m])", nullptr),
              StatusIs(kInvalid, HasSubstr("add a metric name")));
}

TEST(ConfineUnionTest, ARangeAsTheWholeQueryNeedsSeveralTexts) {
  const Clauses clauses = Grants("{a=\"1\"} or {b=\"2\"}");
  const auto texts = ConfineQueryToTexts("up[5m]", clauses);
  ASSERT_THAT(texts, IsOk());
  EXPECT_THAT(*texts, SizeIs(2));
  EXPECT_THAT(ConfineQueryToUnion("up[5m]", clauses),
              StatusIs(kInvalid, HasSubstr("a range selector as the whole")));
}

}  // namespace
}  // namespace insula::promql
