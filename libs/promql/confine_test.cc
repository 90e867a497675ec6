#include "libs/promql/confine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/labels/matcher.h"
#include "libs/promql/ast.h"
#include "libs/promql/parser.h"
#include "libs/promql/printer.h"
#include "libs/promql/testdata_cases.h"
#include "libs/promql/visit.h"
#include "libs/status/status_matchers.h"

namespace insula::promql {
namespace {

using ::testing::HasSubstr;

constexpr auto kInternal = absl::StatusCode::kInternal;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

using Matchers = std::vector<labels::Matcher>;

Matchers Enforced(absl::string_view selector = "{namespace=\"red\"}") {
  absl::StatusOr<Matchers> matchers = ParseMetricSelector(selector);
  EXPECT_THAT(matchers, IsOk()) << selector;
  return *matchers;
}

ExprPtr MustParse(absl::string_view query) {
  absl::StatusOr<ExprPtr> expr = Parse(query);
  EXPECT_THAT(expr, IsOk()) << query;
  return *std::move(expr);
}

std::string Outcome(absl::string_view query, const Matchers& enforced) {
  const absl::StatusOr<std::string> text = ConfineQuery(query, enforced);
  if (text.ok()) return absl::StrCat("= ", *text);
  return absl::StrCat("! ", text.status().message());
}

TEST(ConfineTest, GivesTheTextOrTheErrorOfEachCase) {
  const std::vector<Case> cases = ReadCases(TESTDATA_DIR, "confine.test");
  EXPECT_GE(cases.size(), 140u);
  for (const Case& c : cases) {
    EXPECT_EQ(Outcome(c.query, Enforced(c.enforced)), c.outcome)
        << "confine.test:" << c.line << ": " << c.query;
  }
}

TEST(ConfineTest, ConfinesEverySelectorOfEveryExpressionWeKnow) {
  const Matchers enforced = Enforced("{namespace=\"red\",tenant=~\"a|b\"}");
  for (const char* name : {"parse.test", "prometheus.test"}) {
    for (const Case& c : ReadCases(TESTDATA_DIR, name)) {
      const absl::StatusOr<ExprPtr> before = Parse(c.query);
      if (!before.ok()) continue;
      const absl::StatusOr<std::string> text = ConfineQuery(c.query, enforced);
      ASSERT_THAT(text, IsOk()) << c.query;
      const ExprPtr after = MustParse(*text);
      const auto meant = Selectors(static_cast<const Expr&>(**before));
      const auto found = Selectors(static_cast<const Expr&>(*after));
      ASSERT_EQ(meant->size(), found->size()) << *text;
      for (size_t i = 0; i < found->size(); ++i) {
        const Matchers& matchers = (*found)[i]->matchers;
        EXPECT_EQ(matchers.size(), (*meant)[i]->matchers.size() + 2) << *text;
        Matchers wanted = (*meant)[i]->matchers;
        wanted.insert(wanted.end(), enforced.begin(), enforced.end());
        for (const labels::Matcher& matcher : wanted) {
          EXPECT_NE(std::find(matchers.begin(), matchers.end(), matcher),
                    matchers.end())
              << *text;
        }
      }
    }
  }
}

TEST(ConfineTest, ConfiningAgainChangesNothing) {
  for (const Case& c : ReadCases(TESTDATA_DIR, "confine.test")) {
    if (!absl::StartsWith(c.outcome, "= ")) continue;
    EXPECT_EQ(Outcome(c.outcome.substr(2), Enforced(c.enforced)), c.outcome);
  }
}

TEST(ConfineTest, CheckFindsASelectorThatWasForgottenAnywhere) {
  for (const char* query :
       {"topk(scalar(a), b{namespace=\"red\"})", "a[5m]", "sum(a) + 1",
        "max_over_time(a[1h:5m])", "-(a)", "a{namespace=\"blue\"}",
        "a{namespace=~\"red\"}", "a{other=\"red\"}",
        "label_replace(a, \"namespace\", \"red\", \"\", \"\")"}) {
    EXPECT_THAT(CheckConfined(*MustParse(query), Enforced()),
                StatusIs(kInternal, HasSubstr("lacks {namespace=\"red\"}")))
        << query;
  }
  EXPECT_THAT(CheckConfined(*MustParse("a{namespace=\"red\"}[5m]"), Enforced()),
              IsOk());
  EXPECT_THAT(CheckConfined(*MustParse("a{namespace=\"red\"}"),
                            Enforced("{namespace=\"red\",x=\"y\"}")),
              StatusIs(kInternal));
}

TEST(ConfineTest, RefusesToEnforceWhatEnforcesNothing) {
  const ExprPtr expr = MustParse("up");
  for (const char* selector : {"{}", "{a=\"\"}", "{a!=\"b\"}", "{a=~\"b|\"}",
                               "{a!~\"b\"}", "{b=\"1\",a=~\".*\"}"}) {
    EXPECT_THAT(Confine(expr.get(), Enforced(selector)), StatusIs(kInvalid));
    EXPECT_THAT(CheckConfined(*expr, Enforced(selector)), StatusIs(kInvalid));
  }
  const Matchers unwritable = {*labels::Matcher::Create(
      labels::MatchType::kEqual, "a.b\"} or up{x", "red")};
  EXPECT_THAT(Confine(expr.get(), unwritable), StatusIs(kInvalid));
  EXPECT_EQ(Print(*expr), "up");
}

TEST(ConfineTest, RefusesANodeThatItDoesNotKnow) {
  struct Strange : Expr {
    Strange() : Expr(static_cast<ExprKind>(99), ValueType::kVector) {}
  };
  Strange strange;
  EXPECT_THAT(Confine(&strange, Enforced()), StatusIs(kInternal));
  EXPECT_THAT(CheckConfined(strange, Enforced()), StatusIs(kInternal));
  EXPECT_THAT(Selectors(static_cast<const Expr&>(strange)),
              StatusIs(kInternal));
}

TEST(ConfineTest, GivesPositionsInTheTextOfTheUser) {
  EXPECT_THAT(ConfineQuery("up +\n  up{a=~\"(\"}", Enforced()),
              StatusIs(kInvalid, HasSubstr("2:6: parse error")));
}

TEST(ConfineTest, LimitsTheTextThatItMakes) {
  std::string query = "a";
  for (int i = 0; i < 4'000; ++i) query += "+a";
  EXPECT_THAT(ConfineQuery(query, Enforced()), IsOk());
  const std::string value(300, 'x');
  EXPECT_THAT(ConfineQuery(
                  query, Enforced(absl::StrCat("{namespace=\"", value, "\"}"))),
              StatusIs(kInvalid, HasSubstr("more than the 1048576 allowed")));
}

TEST(ConfineTest, LimitsSelectors) {
  std::string query = "a";
  for (size_t i = 1; i < kMaxSelectors; ++i) query += "+a";
  EXPECT_THAT(ConfineQuery(query, Enforced()), IsOk());
  EXPECT_THAT(
      ConfineQuery(query + "+a", Enforced()),
      StatusIs(kInvalid, HasSubstr("the query has 4097 selectors, more than "
                                   "the 4096 allowed; use fewer selectors")));
}

// A sign that printing puts in front is a level more, and infinities have one.
TEST(ConfineTest, TakesTheDeepestQueryThatTheParserTakes) {
  const auto nested = [](absl::string_view inner) {
    return absl::StrCat(std::string(256, '('), inner, std::string(256, ')'));
  };
  EXPECT_THAT(ConfineQuery(nested("Inf"), Enforced()), IsOk());
  EXPECT_THAT(ConfineQuery(nested("a"), Enforced()), IsOk());
  EXPECT_THAT(ConfineQuery(nested("(a)"), Enforced()), StatusIs(kInvalid));
}

TEST(ConfineTest, EnforcedExpressionsDoNotCountAgainstTheUser) {
  std::string query = "a";
  for (int i = 0; i < 2'000; ++i) query += "+a";
  EXPECT_THAT(ConfineQuery(query, Enforced("{namespace=~\"r[0-9]{50}\"}")),
              IsOk());
}

}  // namespace
}  // namespace insula::promql
