#include "libs/promql/clause_union.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "libs/labels/matcher.h"
#include "libs/promql/alternatives.h"
#include "libs/promql/clause_union_property.h"
#include "libs/promql/parser.h"
#include "libs/promql/printer.h"
#include "libs/status/status_matchers.h"

namespace insula::promql {
namespace {

using ::testing::ElementsAre;

Clauses Read(absl::string_view text) {
  Clauses clauses;
  if (text.empty()) return clauses;
  for (const absl::string_view selector : absl::StrSplit(text, " or ")) {
    absl::StatusOr<Clause> clause = ParseMetricSelector(selector);
    EXPECT_THAT(clause, IsOk()) << selector;
    clauses.push_back(*clause);
  }
  return clauses;
}

std::string Text(const Clauses& clauses) {
  return absl::StrJoin(clauses, " or ",
                       [](std::string* out, const Clause& clause) {
                         out->append(PrintSelector(clause));
                       });
}

std::string Simplified(absl::string_view text) {
  return Text(SimplifyClauses(Read(text)));
}

std::string ResidualsOf(absl::string_view selector, absl::string_view clauses) {
  return Text(Residuals(Read(selector)[0], Read(clauses)));
}

std::string Separated(absl::string_view residuals) {
  const auto separate = Separate(Read(residuals), 16);
  return separate.has_value() ? Text(*separate) : "no";
}

TEST(ClauseUnionTest, HoldsOfRandomSelectorsAndPolicies) {
  EXPECT_EQ(FindUnionFault(/*seed=*/1, 1500), "");
}

TEST(SimplifyTest, AbsorbsClausesThatAddNothing) {
  EXPECT_EQ(Simplified("{a=\"1\",b=\"2\"} or {a=\"1\"} or {a=\"1\"}"),
            "{a=\"1\"}");
  EXPECT_EQ(Simplified("{b=\"2\",a=\"1\"} or {a=\"1\",b=\"2\"}"),
            "{a=\"1\",b=\"2\"}");
  EXPECT_EQ(Simplified("{a=\"1\",b=\"2\"} or {a=\"1\",c=\"2\"}"),
            "{a=\"1\",b=\"2\"} or {a=\"1\",c=\"2\"}");
}

TEST(SimplifyTest, MergesAlongOneLabel) {
  EXPECT_EQ(Simplified("{n=\"r\",a=\"2\"} or {n=\"r\",a=\"1\"}"),
            "{a=~\"1|2\",n=\"r\"}");
  EXPECT_EQ(Simplified("{n=\"r\",a=\"1\"} or {n=\"b\",a=\"2\"}"),
            "{a=\"1\",n=\"r\"} or {a=\"2\",n=\"b\"}");
  EXPECT_EQ(Simplified("{a=\"1\",n=\"r\"} or {a=\"2\",n=\"r\"} or "
                       "{a=\"1\",n=\"b\"} or {a=\"2\",n=\"b\"}"),
            "{a=~\"1|2\",n=~\"b|r\"}");
  EXPECT_EQ(Simplified("{a=~\"1|2\"} or {a=\"2\"} or {a=\"3\"}"),
            "{a=~\"1|2|3\"}");
  EXPECT_EQ(Simplified("{a=\"x.y\"} or {a=~\"z.*\"}"),
            "{a=~\"(?:z.*)|x\\\\.y\"}");
  EXPECT_EQ(Simplified("{a=~\"x|y.*\"} or {a=~\"z.*\"} or {a=~\"[^a-c]\"}"),
            "{a=~\"(?:[^a-c])|(?:x|y.*)|(?:z.*)\"}");
}

TEST(SimplifyTest, LeavesAloneWhatMayMeanSomethingElse) {
  // A quotation that is not closed would take in what follows.
  EXPECT_EQ(Simplified("{a=~\"\\\\Qx\\\\E\"} or {a=\"y\"}"),
            "{a=~\"\\\\Qx\\\\E\"} or {a=\"y\"}");
  EXPECT_EQ(
      Simplified("{a=~\"[)]\"} or {a=~\"[]|(]\"} or {a=~\"[[:^word:]]\"}"),
      "{a=~\"[)]\"} or {a=~\"[]|(]\"} or {a=~\"[[:^word:]]\"}");
  EXPECT_EQ(Simplified("{n=\"r\",a=\"\"} or {n=\"r\",a=\"1\"}"),
            "{a=\"\",n=\"r\"} or {a=\"1\",n=\"r\"}");
  EXPECT_EQ(Simplified("{n=\"r\",a!~\"1.*\"} or {n=\"r\",a!~\"2.*\"}"),
            "{a!~\"1.*\",n=\"r\"} or {a!~\"2.*\",n=\"r\"}");
  EXPECT_EQ(Simplified("{n=\"r\",a!=\"1\"} or {n=\"r\",b!=\"2\"}"),
            "{a!=\"1\",n=\"r\"} or {b!=\"2\",n=\"r\"}");
}

TEST(SimplifyTest, TwoInequalitiesRestrictNothing) {
  EXPECT_EQ(Simplified("{n=\"r\",a!=\"1\"} or {n=\"r\",a!=\"2\"}"),
            "{n=\"r\"}");
}

TEST(SimplifyTest, DoesNothingTheSecondTime) {
  Clauses policy;
  for (int i = 0; i < 200; ++i) {
    for (int j = 0; j < 10; ++j) {
      policy.push_back(
          {*labels::Matcher::Create(labels::MatchType::kEqual, "__name__",
                                    absl::StrCat("m", i)),
           *labels::Matcher::Create(labels::MatchType::kEqual, "ns",
                                    absl::StrCat("n", j))});
    }
  }
  const Clauses once = SimplifyClauses(policy);
  EXPECT_EQ(once.size(), 1u);
  EXPECT_EQ(Text(SimplifyClauses(once)), Text(once));
}

TEST(ResidualsTest, PrunesWhatTheSelectorExcludes) {
  for (const char* excluded :
       {"{a=\"1\"}", "{a=~\"1.*\"}", "{a!=\"2\"}", "{a!~\"2|3\"}"}) {
    EXPECT_EQ(ResidualsOf("x{a=\"2\"}", excluded), "") << excluded;
  }
  EXPECT_EQ(ResidualsOf("x{a=~\"2.*\"}", "{a=\"1\"}"), "");
  EXPECT_EQ(ResidualsOf("x{a!=\"1\"}", "{a=\"1\"}"), "");
  EXPECT_EQ(ResidualsOf("x{a!~\"1.*\"}", "{a=~\"1.*\"}"), "");
  EXPECT_EQ(ResidualsOf("x{b=\"1\"}", "{a=\"1\"}"), "{a=\"1\"}");
  EXPECT_EQ(ResidualsOf("x{a=\"\"}", "{a!=\"\",n=\"1\"}"), "");
  // Nobody knows what these have in common.
  EXPECT_EQ(ResidualsOf("x{a=~\"1.\"}", "{a=~\".2\"}"), "{a=~\".2\"}");
}

TEST(ResidualsTest, RemovesWhatAValueFulfils) {
  EXPECT_EQ(ResidualsOf("x{a=\"1\"}", "{a=~\"1|2\",b=\"3\"}"), "{b=\"3\"}");
  EXPECT_EQ(ResidualsOf("x{a=\"1\"}", "{a!=\"2\",b=\"3\"}"), "{b=\"3\"}");
  EXPECT_EQ(ResidualsOf("x{a=\"1\"}", "{a=~\"1\"}"), "{}");
  EXPECT_EQ(ResidualsOf("x{a=\"\"}", "{a!=\"2\",b=\"3\"}"), "{b=\"3\"}");
  // Granted only for values: what expressions select is for others to say.
  EXPECT_EQ(ResidualsOf("x{a=~\"1\"}", "{a=\"1\"}"), "{a=\"1\"}");
  EXPECT_EQ(ResidualsOf("x{a=~\"1|2\"}", "{a=~\"1|2|3\"}"), "{a=~\"1|2|3\"}");
}

TEST(ResidualsTest, KeepsWhatOthersMaySeeOtherwise) {
  for (const char* value : {"\xc3\xb6", "a\\n", "\\xff"}) {
    const std::string selector = absl::StrCat("x{a=\"", value, "\"}");
    EXPECT_EQ(ResidualsOf(selector, "{a=~\".\"}"), "{a=~\".\"}") << value;
    EXPECT_EQ(ResidualsOf(selector, "{a!~\"b.\",b=\"1\"}"),
              "{a!~\"b.\",b=\"1\"}")
        << value;
    EXPECT_EQ(ResidualsOf(selector, "{a!=\"b\",b=\"1\"}"), "{b=\"1\"}");
  }
}

TEST(ResidualsTest, MergesWhatIsLeft) {
  EXPECT_EQ(ResidualsOf("up",
                        "{n=\"r\"} or {n=\"b\",__name__=~\"up|x\"} or "
                        "{n=\"g\",__name__=\"x\"}"),
            "{n=~\"b|r\"}");
  EXPECT_EQ(ResidualsOf("up{n=\"r\"}", "{n=\"r\"} or {a=\"1\"}"), "{}");
}

TEST(SeparateTest, CutsWhereArmsOverlap) {
  EXPECT_EQ(Separated("{a=\"1\"} or {b=~\"2.*\"}"),
            "{a=\"1\"} or {a!=\"1\",b=~\"2.*\"}");
  EXPECT_EQ(Separated("{a=\"1\",b=\"1\"} or {c=\"1\",d=\"1\"}"),
            "{a=\"1\",b=\"1\"} or {a!=\"1\",c=\"1\",d=\"1\"} or "
            "{a=\"1\",b!=\"1\",c=\"1\",d=\"1\"}");
  EXPECT_EQ(Separated("{a=\"1\",b=\"1\"} or {a=\"2\"}"),
            "{a=\"2\"} or {a=\"1\",b=\"1\"}");
}

TEST(SeparateTest, CannotCutAlongNames) {
  EXPECT_EQ(Separated("{__name__=~\"x.*\"} or {__name__=\"y\",a=\"1\"}"), "no");
  EXPECT_EQ(
      Separated("{__name__=~\"x.*\",a=\"2\"} or {__name__=\"y\",a=\"1\"}"),
      "{__name__=~\"x.*\",a=\"2\"} or {__name__=\"y\",a=\"1\"}");
  EXPECT_EQ(Separated("{__name__=~\"x.*\"} or {a=\"1\"}"),
            "{a=\"1\"} or {__name__=~\"x.*\",a!=\"1\"}");
}

TEST(SeparateTest, GivesUpWhenThereAreTooMany) {
  EXPECT_EQ(Separated("{a=\"1\",b=\"1\",c=\"1\"} or {d=\"1\",e=\"1\",f=\"1\"} "
                      "or {g=\"1\",h=\"1\",i=\"1\"} or {j=\"1\",k=\"1\"}"),
            "no");
}

TEST(UniteSelectorTest, GivesTheSelectorsOfAMatch) {
  const Clauses clauses = Read("{n=\"r\"} or {n=\"b\",__name__=\"up\"}");
  EXPECT_EQ(Text(UniteSelector(Read("up")[0], clauses)),
            "{__name__=\"up\",n=~\"b|r\"}");
  EXPECT_EQ(Text(UniteSelector(Read("down")[0], clauses)),
            "{__name__=\"down\",n=\"r\"}");
  EXPECT_EQ(Text(UniteSelector({}, clauses)),
            "{n=\"r\"} or {__name__=\"up\",n=\"b\"}");
  EXPECT_EQ(Text(UniteSelector(Read("{n=\"g\"}")[0], clauses)), "");
  EXPECT_EQ(Text(UniteSelector(Read("up")[0], {})), "");
  EXPECT_EQ(Text(UniteSelector(Read("x{n=\"b\"}")[0], Read("{n=\"r\"}"))),
            "{__name__=\"x\",n=\"b\",n=\"r\"}");
}

TEST(UniteSelectorTest, AClauseThatIsNoneGrantsNothing) {
  EXPECT_EQ(Text(UniteSelector({}, {Clause()})), "");
  EXPECT_EQ(Text(UniteSelector({}, Read("{a!=\"1\"} or {b=\"2\"}"))),
            "{b=\"2\"}");
}

TEST(AlternativesTest, TakesListsApartAndNothingElse) {
  const auto parts = [](absl::string_view pattern) {
    return Alternatives(
        *labels::Matcher::Create(labels::MatchType::kRegex, "a", pattern));
  };
  EXPECT_THAT(parts("b|a|b"), ElementsAre("a", "b"));
  EXPECT_THAT(parts("(?:a|b)|c\\.d"), ElementsAre("(?:a|b)", "c\\.d"));
  EXPECT_THAT(parts("a|b.*"), ElementsAre("(?:a|b.*)"));
  EXPECT_THAT(parts("(?:a)b|c"), ElementsAre("(?:(?:a)b|c)"));
  EXPECT_THAT(parts("(?:[)]|a)|c"), ElementsAre("(?:(?:[)]|a)|c)"));
  EXPECT_THAT(parts("(?:[12]|a)|c"), ElementsAre("(?:[12]|a)", "c"));
  EXPECT_THAT(parts("(?:\\)|a)|c"), ElementsAre("(?:\\)|a)", "c"));
  EXPECT_THAT(parts("a|\\d"), ElementsAre("(?:a|\\d)"));
  EXPECT_THAT(parts("a||b"), ElementsAre("(?:a||b)"));
  EXPECT_THAT(parts("a|"), ElementsAre("(?:a|)"));
  EXPECT_THAT(parts("(a)|b"), ElementsAre("(?:(a)|b)"));
}

}  // namespace
}  // namespace insula::promql
